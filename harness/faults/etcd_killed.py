"""etcd dies at once (SIGKILL) and is started again on its data: the API server answers, and cannot read or write."""

import aiohttp

from harness.errors import ServiceError
from harness.faults.cluster_fault import ClusterFault
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable
from harness.wait import wait_for

_ANSWER_WITHIN_S = 2.0
_READ_AGAIN_WITHIN_S = 30.0


class EtcdKilled(ClusterFault):
    """Kills the etcd of a cluster that nobody else uses; healing starts it again."""

    name = "etcd-killed"

    async def apply(self) -> None:
        await self._cluster.etcd.kill()

    async def prove_active(self) -> str:
        if await self._answers():
            raise ServiceError(f"{self.target}: etcd still answers")
        return "nobody answers on its port"

    async def heal(self) -> None:
        await self._cluster.start_etcd()

    async def prove_healed(self) -> str:
        if not await self._answers():
            raise ServiceError(f"{self.target}: etcd does not answer")
        if not self._cluster.apiserver.running:
            return "etcd answers"

        async def reads(admin: KubeAdmin) -> bool:
            await admin.request("GET", "/api/v1/namespaces/kube-system")
            return True

        async with self._cluster.admin() as admin:
            await wait_for(
                "the API server to read from etcd again",
                lambda: reads(admin),
                deadline_s=_READ_AGAIN_WITHIN_S,
                expect=(KubeApiError, KubeUnreachable),
            )
        return "the API server reads from etcd again"

    async def _answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._cluster.etcd_url}/readyz") as answer,
            ):
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
