"""One life of the agent: check what it was given, wait for the device lock, do the duty until a signal or a crash.

    settings -> disk -> device lock -> what the disk holds is carried out -> NATS, for ever, in the background

Nothing of it waits for the broker: a device that boots without a network runs what it ran before.
"""

import asyncio
import os
import signal
import time
import uuid
from contextlib import ExitStack

from fleet.agent.duty import Duty
from fleet.agent.layout import Layout
from fleet.agent.lock import DeviceLock
from fleet.agent.store import Store
from fleet.agent.version import agent_version
from fleet.agent.watchdog import Watchdog
from fleet.logs import get_logger
from fleet.settings import AgentSettings


class Agent:
    """`run` it once. Containers outlive it: neither its end nor its crash touches them."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._version = agent_version()
        self._instance_id = uuid.uuid4().hex
        self._watchdog = Watchdog.from_environment(os.environ)
        self._stop = asyncio.Event()
        self._duty: Duty | None = None
        self._log = get_logger("agent").bind(device=settings.device)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises FleetError with one clear line if it could not start; the rest is a crash."""
        with ExitStack() as stack:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
                stack.callback(loop.remove_signal_handler, number)
            work = asyncio.create_task(self._work(), name="agent")
            stop = asyncio.create_task(self._stop.wait(), name="stop")
            try:
                await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
                self._watchdog.stopping()
            finally:
                for task in (work, stop):
                    task.cancel()
                await asyncio.wait({work, stop})
            if not work.cancelled():
                work.result()
            self._log.info("stopped")

    async def _work(self) -> None:
        settings = self._settings
        layout = Layout(settings.root)
        store = Store(layout)
        # A standby that waits for the lock is as ready as one that acts: what it waits for is no trouble.
        self._watchdog.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watchdog.run(self._alive))
            lock = await DeviceLock.acquire(layout.device_lock, version=self._version, taken=self._is_standby)
            try:
                loaded = await asyncio.to_thread(store.load)
                for trouble in loaded.troubles:
                    self._log.error("file_set_aside", reason=trouble)
                self._watchdog.status(f"acting for {settings.device}")
                self._log.info("started", version=self._version, instance=self._instance_id, root=str(settings.root))
                self._duty = Duty(settings, store, loaded, version=self._version, instance_id=self._instance_id)
                await self._duty.run()
            finally:
                lock.release()

    def _alive(self) -> bool:
        """A standby is; an agent that acts is as long as it comes round to podman."""
        return self._duty is None or self._duty.moves(time.monotonic())

    def _is_standby(self, holder: str) -> None:
        self._watchdog.status(f"waiting for the device lock: {holder}")
        self._log.info("waiting_for_device_lock", holder=holder)
