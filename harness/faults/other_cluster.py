"""An operator is started for another cluster or namespace, on buckets that are not its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harness.errors import ServiceError
from harness.faults.etcd_replaced import cluster_uid
from harness.faults.fault import Fault
from harness.services.kube_client import KubeAdmin
from harness.services.operator import OperatorProcess


@dataclass(frozen=True, slots=True)
class Place:
    """One namespace of one cluster: what an operator serves."""

    admin: KubeAdmin
    namespace: str

    async def identity(self) -> tuple[str, str]:
        """(uid of the cluster, namespace). Raises ServiceError."""
        return await cluster_uid(self.admin), self.namespace


class OtherCluster(Fault):
    """Starts a stranger; healing ends it, if it still lives."""

    name = "other-cluster"
    target = "operator"

    def __init__(self, right: Place, wrong: Place, start: Callable[[], Awaitable[OperatorProcess]]) -> None:
        self.stranger: OperatorProcess | None = None
        self._right = right
        self._wrong = wrong
        self._start = start

    async def apply(self) -> None:
        self.stranger = await self._start()

    async def prove_active(self) -> str:
        if self.stranger is None:
            raise ServiceError("no operator was started for another cluster")
        right, wrong = await self._right.identity(), await self._wrong.identity()
        if right == wrong:
            raise ServiceError(f"{self.stranger.process.name} serves {right[1]} of {right[0]}, as it should")
        return (
            f"{self.stranger.process.name} serves {wrong[1]} of {wrong[0]}, the buckets are of {right[1]} of {right[0]}"
        )

    async def heal(self) -> None:
        if self.stranger is not None:
            await self.stranger.process.stop()
            await self.stranger.close()

    async def prove_healed(self) -> str:
        if self.stranger is None or self.stranger.process.running:
            raise ServiceError("no stranger was ended")
        return f"{self.stranger.process.name} ended with {self.stranger.process.exit_code}"

    async def close(self) -> None:
        await self.heal()
