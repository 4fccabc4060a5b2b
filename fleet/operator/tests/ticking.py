"""A status ticker whose catching up is the test's, and another operator's patch."""

import asyncio

import msgspec

from fleet.errors import PeerError
from fleet.kube.objects import decode_deployment
from fleet.operator.status import Trouble
from fleet.operator.status_ticker import StatusTicker
from fleet.operator.tests.peers import Call
from fleet.operator.tests.samples import WEB, at
from fleet.operator.tests.world import World


class Ticker(StatusTicker):
    """A ticker that notes when it asked to be caught up; `behind` is what to raise then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.troubles: dict[str, Trouble] = {}
        self.asked = 0
        self.behind: PeerError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        super().__init__(world.parts, trouble=self.troubles.get, caught_up=self._follow, now=lambda: at(0))

    async def _follow(self) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.behind is not None:
            raise self.behind

    def show(self) -> None:
        """Bring the watch's news of the Deployment, as its informer does."""
        item = self.world.kube.objects["deployments"]["web"]
        newer = decode_deployment(msgspec.json.encode(item))
        changed = self.world.state.deployments[WEB].status != newer.status
        self.world.state.upsert_deployment(newer)
        self.heard(WEB, status_changed=changed)

    @property
    def patches(self) -> list[Call]:
        return self.world.kube.verbs("patch-status")


async def patched_by_another(world: World, **aggregate: int) -> None:
    """Another operator's patch."""
    version = deployment_version(world)
    patch = {"metadata": {"resourceVersion": version}, "status": {"aggregate": aggregate}}
    await world.kube.patch_status("deployments", "web", patch)
    world.kube.calls.clear()


def deployment_version(world: World) -> str:
    metadata = world.kube.objects["deployments"]["web"]["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["resourceVersion"])
