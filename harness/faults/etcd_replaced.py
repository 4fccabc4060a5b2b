"""Another cluster answers behind the same address and credentials: etcd was set up anew."""

from collections.abc import Awaitable, Callable

from harness.errors import ServiceError
from harness.faults.cluster_fault import ClusterFault
from harness.services.kube import KubeCluster
from harness.services.kube_answers import mapping
from harness.services.kube_client import KubeAdmin


async def cluster_uid(admin: KubeAdmin) -> str:
    """What tells a cluster from every other: the uid of its namespace kube-system. Raises ServiceError."""
    found = mapping(await admin.request("GET", "/api/v1/namespaces/kube-system"))
    return str(mapping(found["metadata"])["uid"])


class EtcdReplaced(ClusterFault):
    """Starts the API server on an empty store, which `furnish` then fills; healing puts the right store back."""

    name = "etcd-replaced"

    def __init__(self, cluster: KubeCluster, admin: KubeAdmin, furnish: Callable[[], Awaitable[None]]) -> None:
        super().__init__(cluster)
        self._admin = admin
        self._furnish = furnish
        self._right = cluster.folder / "right-store"
        self._identity: str | None = None

    async def apply(self) -> None:
        self._identity = await cluster_uid(self._admin)
        await self._cluster.back_up_etcd(self._right)
        await self._cluster.replace_data(None)
        await self._furnish()

    async def prove_active(self) -> str:
        now = await cluster_uid(self._admin)
        if self._identity is None or now == self._identity:
            raise ServiceError(f"{self.target} is the cluster {now} that it always was")
        return f"cluster {now} answers where {self._identity} did"

    async def heal(self) -> None:
        if self._identity is not None:
            await self._cluster.replace_data(self._right)

    async def prove_healed(self) -> str:
        now = await cluster_uid(self._admin)
        if now != self._identity:
            raise ServiceError(f"{self.target} is cluster {now}, not {self._identity}")
        return f"cluster {now} answers again"
