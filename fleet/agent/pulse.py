"""Signs of life and facts. The first beat comes before any report (rule L3), and one at once after each reconnect.

What stands under the keys is only the agent's. That somebody changed a heartbeat says that the bucket was made again,
or that the device was forgotten: then facts are published anew, and `disturbed` is called.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from fleet.agent.link import Link
from fleet.agent.own_key import OwnKey
from fleet.agent.pausing import Pauses, jittered, set_within
from fleet.errors import PeerError, WireError
from fleet.logs import get_logger
from fleet.wire import Bucket, DeviceId, DeviceInfo, Heartbeat, decode_heartbeat, heartbeat_key, info_key


class Pulse:
    """`beaten` is set once the first beat was stored; `sequence` is that of the last one, 0 before."""

    def __init__(
        self,
        link: Link,
        device: DeviceId,
        facts: DeviceInfo,
        *,
        instance_id: str,
        every_s: float,
        busy: Callable[[], bool],
        disturbed: Callable[[], None] = lambda: None,
    ) -> None:
        self.beaten = asyncio.Event()
        self.sequence = 0
        self._link = link
        self._facts = facts.encode()
        self._agent_version = facts.agent_version
        self._instance_id = instance_id
        self._every_s = every_s
        self._busy = busy
        self._disturbed = disturbed
        self._next = 0
        self._heartbeat = OwnKey(link, Bucket.DEVICE_HEARTBEAT, heartbeat_key(device), self._was_disturbed)
        self._info = OwnKey(link, Bucket.DEVICE_INFO, info_key(device))
        self._beat_now = asyncio.Event()
        self._check_facts = asyncio.Event()
        self._facts_again = False
        self._log = get_logger("pulse")
        link.on_back(self._back)

    def again(self) -> None:
        """Publish everything again, also what is stored."""
        self._facts_again = True
        self._back()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_on())
            group.create_task(self._introduce())

    def _back(self) -> None:
        self._beat_now.set()
        self._check_facts.set()

    def _was_disturbed(self) -> None:
        self._check_facts.set()
        self._disturbed()

    async def _beat_on(self) -> None:
        pauses = Pauses(self._log, "heartbeat")
        while True:
            await self._link.up.wait()
            self._beat_now.clear()
            pauses.begin()
            try:
                await self._heartbeat.put(self._beat_over)
            except PeerError as e:
                await pauses.after(e, self._beat_now)
            else:
                pauses.succeeded()
                self.sequence = self._next
                self.beaten.set()
                await set_within(self._beat_now, jittered(self._every_s))

    def _beat_over(self, stored: bytes | None) -> bytes:
        if stored is None and self.sequence:
            # Gone while no beat came through: the write that follows meets no conflict that would tell of it.
            self._was_disturbed()
        # Whether the last attempt was stored may not be known: what stands there tells.
        self._next = max(self.sequence, self._stored_sequence(stored)) + 1
        return Heartbeat(self._agent_version, self._instance_id, self._next, self._busy()).encode()

    def _stored_sequence(self, stored: bytes | None) -> int:
        try:
            last = None if stored is None else decode_heartbeat(stored)
        except WireError:
            last = None
        return last.sequence if last is not None and last.instance_id == self._instance_id else 0

    async def _introduce(self) -> None:
        await self.beaten.wait()
        pauses = Pauses(self._log, "facts")
        while True:
            await self._link.up.wait()
            self._check_facts.clear()
            pauses.begin()
            again, self._facts_again = self._facts_again, False
            # Rarely asked for, so the leader is asked each time.
            self._info.forget()
            try:
                await self._info.put(partial(self._facts_over, again=again))
            except PeerError as e:
                self._facts_again = self._facts_again or again
                await pauses.after(e, self._check_facts)
            else:
                pauses.succeeded()
                await self._check_facts.wait()

    def _facts_over(self, stored: bytes | None, *, again: bool) -> bytes | None:
        return None if stored == self._facts and not again else self._facts
