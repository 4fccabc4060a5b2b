"""Tells administrators what they must know, as Events on the objects concerned. Best effort, never in the way."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

from fleet.crds import DEPLOYMENT, DEVICE, Resource
from fleet.errors import PeerError
from fleet.kube.client import KubeClient
from fleet.kube.events import event_body
from fleet.logs import get_logger
from fleet.operator.metrics import Metrics
from fleet.operator.state import FleetState
from fleet.operator.sweep import HeldSweep
from fleet.wire import DeploymentName, DeviceId

_WAITING_MAX = 1024
_COMPONENT = "fleet-operator"


class Announcer:
    """A bounded queue of Events; each has a name that says what it tells, so that nobody tells it twice."""

    def __init__(self, state: FleetState, kube: KubeClient, metrics: Metrics) -> None:
        self._state = state
        self._kube = kube
        self._metrics = metrics
        self._queue: asyncio.Queue[dict[str, object]] = asyncio.Queue(_WAITING_MAX)
        self._log = get_logger("events")

    def device_registered(self, device: DeviceId) -> None:
        self._tell(DEVICE, device, "", reason="Registered", message="the device introduced itself", kind="Normal")

    def write_failed(self, name: DeploymentName, reason: str) -> None:
        self._tell_deployment(name, "WriteFailed", reason)

    def sweep_held(self, name: DeploymentName, sweep: HeldSweep) -> None:
        # No more than follows from the set of keys: the reason's numbers change while it waits, and so would the Event.
        text = f"sweep {sweep.id}: {sweep.count} keys that nobody wants wait for `fleet approve-sweep`"
        self._tell_deployment(name, "SweepHeld", text)

    async def run(self) -> None:
        while True:
            body = await self._queue.get()
            try:
                await self._kube.create_event(body)
            except PeerError as e:
                self._metrics.events_lost.inc()
                self._log.warning("event_lost", reason=str(e))

    def _tell_deployment(self, name: DeploymentName, reason: str, message: str) -> None:
        deployment = self._state.deployments.get(name)
        if deployment is not None:
            self._tell(DEPLOYMENT, name, deployment.uid, reason=reason, message=message, kind="Warning")

    def _tell(
        self, resource: Resource, name: str, uid: str, *, reason: str, message: str, kind: Literal["Normal", "Warning"]
    ) -> None:
        body = event_body(
            resource,
            name,
            uid,
            namespace=self._kube.namespace,
            kind=kind,
            reason=reason,
            message=message,
            component=_COMPONENT,
            at=datetime.now(UTC),
        )
        try:
            self._queue.put_nowait(body)
        except asyncio.QueueFull:
            self._metrics.events_lost.inc()
