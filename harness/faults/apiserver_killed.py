"""The Kubernetes API server dies at once (SIGKILL) and is started again, on the same store and port."""

from harness.errors import ServiceError
from harness.faults.cluster_fault import ClusterFault
from harness.services.kube_client import KubeApiError, KubeUnreachable


class ApiserverKilled(ClusterFault):
    """Kills the API server of a cluster that nobody else uses; healing starts it again."""

    name = "apiserver-killed"

    async def apply(self) -> None:
        await self._cluster.apiserver.kill()

    async def prove_active(self) -> str:
        async with self._cluster.admin() as admin:
            try:
                await admin.request("GET", "/api/v1/namespaces/kube-system")
            except KubeUnreachable:
                return "nobody answers on its port"
            except KubeApiError as e:
                raise ServiceError(f"{self.target}: the API server still answers: {e}") from e
        raise ServiceError(f"{self.target}: the API server still answers")

    async def heal(self) -> None:
        await self._cluster.start_apiserver()

    async def prove_healed(self) -> str:
        async with self._cluster.admin() as admin:
            await admin.request("GET", "/api/v1/namespaces/kube-system")
        return "the API server reads from its store again"
