"""What the holder of the device lock does: all parts of the agent, and how they are joined.

broker --inbox--> desk --> workers --> podman
                    |         |
                   disk <-- reporter --outbox--> broker        pulse, recall, commands beside it
"""

import asyncio
from typing import Protocol

from fleet.agent.answers import Answers
from fleet.agent.desk import Desk
from fleet.agent.facts import facts
from fleet.agent.inbox import Heard, Inbox
from fleet.agent.link import Link
from fleet.agent.outbox import Outbox
from fleet.agent.pulse import Pulse
from fleet.agent.recall import Recall
from fleet.agent.reporter import Reporter
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.serve import Commands
from fleet.agent.store import Loaded, Store
from fleet.agent.worker import Workers
from fleet.commands import PingReply
from fleet.errors import crash_line
from fleet.logs import get_logger
from fleet.settings import AgentSettings
from fleet.wire import DeploymentName, decode_device_state


class _Part(Protocol):
    async def run(self) -> None: ...


class Duty:
    """`run` it once. What the disk holds is carried out at once, whether or not there is a broker."""

    def __init__(
        self, settings: AgentSettings, store: Store, loaded: Loaded, *, version: str, instance_id: str
    ) -> None:
        device = settings.device
        self._version, self._instance_id = version, instance_id
        self._log = get_logger("duty")
        self._loaded = loaded
        self._last = {name: decode_device_state(kept.report) for name, kept in loaded.kept.items() if kept.report}
        runtime = PodmanRuntime(settings.podman_socket, device)
        link = Link(settings.nats_url, name=f"fleet-agent {device}")
        self._pulse = Pulse(
            link,
            device,
            facts(version, settings.labels),
            instance_id=instance_id,
            every_s=settings.heartbeat_s,
            busy=self._busy,
            disturbed=self._disturbed,
        )
        self._outbox = Outbox(link, device, self._pulse.beaten, taken_back=self._taken_back)
        self._reporter = Reporter(store, self._outbox, self._forgotten)
        self._workers = Workers(
            runtime, self._reporter.reported, self._reporter.gone, tick_s=settings.tick_s, last=self._last
        )
        self._inbox = Inbox(link, device, self._heard)
        self._desk = Desk(store, self._workers, confirm=self._inbox.confirm, look_again=self._inbox.look_again)
        recall = Recall(link, (self._outbox.again, self._pulse.again))
        commands = Commands(link, device, Answers(runtime, self._workers.container, self._pong).handlers())
        self._parts: tuple[_Part, ...] = (
            link,
            self._pulse,
            self._outbox,
            self._reporter,
            self._workers,
            self._inbox,
            recall,
            commands,
        )

    def moves(self, now_s: float) -> bool:
        """False if it stands still for good; then a new life has to go on. `now_s` is monotonic."""
        return self._workers.moves(now_s)

    async def run(self) -> None:
        """Until cancelled. Raises what was unexpected in any part, after all have ended."""
        for name, state in self._last.items():
            if not self._loaded.kept[name].deleted:
                # The broker may lack what was said just before the last life ended.
                self._outbox.put(name, state)
        self._desk.resume(self._loaded.kept)
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(self._guarded(part), name=type(part).__name__)

    async def _guarded(self, part: _Part) -> None:
        try:
            await part.run()
        except Exception as e:
            self._log.critical("crashed", loop=type(part).__name__, reason=crash_line(e), exc_info=e)
            raise

    # The parts are made in the order in which they need each other; these close the circle.

    def _busy(self) -> bool:
        return self._workers.busy

    def _disturbed(self) -> None:
        self._outbox.look()

    def _taken_back(self, name: DeploymentName) -> None:
        self._reporter.taken_back(name)

    async def _forgotten(self, name: DeploymentName) -> None:
        await self._desk.forget(name)

    async def _heard(self, heard: Heard) -> None:
        await self._desk.take(heard)

    def _pong(self) -> PingReply:
        return PingReply(self._version, self._instance_id, self._pulse.sequence, self._workers.busy)
