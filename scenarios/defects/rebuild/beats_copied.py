"""Each heartbeat is noted on the Device object, so that kubectl can show when a device was last seen."""

import asyncio
import contextlib

from fleet.bus.entry import Entry
from fleet.errors import PeerError
from fleet.kube.client import KubeClient
from fleet.operator.main import Operator
from fleet.operator.sources import HeartbeatSource
from fleet.operator.state import FleetState
from fleet.wire import DeviceId
from scenarios.defects.defect import Defect


def _patch() -> None:
    clients: list[KubeClient] = []
    wire, beat = Operator._wire, HeartbeatSource._beat
    under_way: set[asyncio.Task[None]] = set()

    def remember(self: Operator, kube: KubeClient, *others: object) -> object:
        clients.append(kube)
        return wire(self, kube, *others)  # type: ignore[arg-type] # handed on as they came

    def copy(self: HeartbeatSource, device: DeviceId, entry: Entry) -> None:
        beat(self, device, entry)
        state: FleetState = self._state
        if device in state.devices and self.books.recovery.converged:
            task = asyncio.get_running_loop().create_task(note(device, entry.at_s))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def note(device: DeviceId, at_s: float) -> None:
        with contextlib.suppress(PeerError):
            seen = {"metadata": {"annotations": {"last-seen": str(at_s)}}}
            await clients[0].patch("devices", device, seen)

    Operator._wire = remember  # type: ignore[method-assign, assignment] # the point of a defect
    HeartbeatSource._beat = copy  # type: ignore[method-assign] # the point of a defect


BEATS_COPIED = Defect(
    name="beats-copied",
    shape="heartbeat-only",
    case="restart",
    check="no-kubernetes-writes",
    story="An annotation told when a device was last seen, for the dashboard. With 10,000 devices that beat every 10 s "
    "it was a thousand writes a second, and etcd's disk was full within days.",
    patch=_patch,
)
