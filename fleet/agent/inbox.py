"""Desired state in: what is told as it is stored, and what a read finds, in the order in which it was heard.

    fleet.desired.<device>.* --told--> |
                                       | waiting (the latest word of each) --> take, one at a time
    direct get, now and then --read--> |

The subscription comes first, then the read: what was told since a read began is newer than what that read finds. No
consumer is made. Nothing is concluded from silence: a read that finds less than before tells nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from nats.aio.msg import Msg

from fleet.agent.desired import NoValue, Word
from fleet.agent.link import Link
from fleet.agent.pausing import Pauses, jittered, set_within
from fleet.bus import direct, reads
from fleet.bus.entry import Entry, is_marker, raw_headers
from fleet.errors import PeerError, WireError
from fleet.logs import get_logger
from fleet.wire import (
    DESIRED_SUBJECT_PREFIX,
    Bucket,
    DeploymentName,
    DeviceId,
    Pair,
    desired_filter,
    desired_key,
    parse_desired_key,
    parse_desired_subject,
)

_READ_EVERY_S = 60.0
_LOOK_AGAIN_S = 5.0
_WAITING_MAX = 2048
_WAITING_BYTES_MAX = 32 << 20
_ODD_KEYS_MAX = 1000


class How(StrEnum):
    """A read may have been answered by a server that lags."""

    TOLD = "told"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Heard:
    """A word about one deployment: a value, or a delete marker."""

    deployment: DeploymentName
    word: Word
    how: How


Take: TypeAlias = Callable[[Heard], Awaitable[None]]


class Inbox:
    """`take` gets one word at a time, in order; while it is busy, a newer word replaces the one that still waits."""

    def __init__(self, link: Link, device: DeviceId, take: Take) -> None:
        self._link = link
        self._device = device
        self._take = take
        self._waiting: dict[tuple[DeploymentName, How], Heard] = {}
        self._waiting_bytes = 0
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        # Deployments that were told about since the read began.
        self._told_since: set[DeploymentName] = set()
        self._look = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._dropped = 0
        self._odd_keys: set[str] = set()
        self._log = get_logger("inbox")
        link.listen(desired_filter(device), self._told)
        link.on_back(self._look.set)

    async def run(self) -> None:
        """Until cancelled. Raises whatever `take` raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_over())
            group.create_task(self._read_now_and_then())

    async def confirm(self, deployment: DeploymentName) -> Word | None:
        """What the stream's leader has stored; None if nobody can tell now: then the bucket is read again soon."""
        key = desired_key(Pair(self._device, deployment))
        try:
            async with self._link.life() as js:
                entry = await reads.get(js, Bucket.DESIRED_STATE, key)
        except PeerError as e:
            self._log.warning("desired_unconfirmed", deployment=deployment, reason=str(e))
            self.look_again()
            return None
        return NoValue.ABSENT if entry is None else _word(entry)

    def look_again(self) -> None:
        """Read all of it once more, soon."""
        loop = asyncio.get_running_loop()
        if self._later is None or self._later.when() <= loop.time():
            self._later = loop.call_later(jittered(_LOOK_AGAIN_S), self._look.set)

    def _told(self, message: Msg) -> None:
        try:
            deployment = parse_desired_subject(message.subject).deployment
        except WireError as e:
            self._is_odd(message.subject.removeprefix(f"{DESIRED_SUBJECT_PREFIX}."), e)
            return
        self._told_since.add(deployment)
        marker = is_marker(raw_headers(message) or b"")
        self._wait(Heard(deployment, NoValue.MARKER if marker else message.data, How.TOLD))

    def _wait(self, heard: Heard) -> None:
        place = (heard.deployment, heard.how)
        before = self._waiting.pop(place, None)
        self._waiting_bytes += _size(heard) - (_size(before) if before else 0)
        if len(self._waiting) >= _WAITING_MAX or self._waiting_bytes > _WAITING_BYTES_MAX:
            self._waiting_bytes -= _size(heard)
            self._dropped += 1
            self._look.set()
            return
        # A word that replaces another goes to the end: it was heard last.
        self._waiting[place] = heard
        self._some.set()
        self._none.clear()

    async def _hand_over(self) -> None:
        while True:
            while self._waiting:
                heard = self._waiting.pop(next(iter(self._waiting)))
                self._waiting_bytes -= _size(heard)
                await self._take(heard)
            self._some.clear()
            self._none.set()
            await self._some.wait()

    async def _read_now_and_then(self) -> None:
        pauses = Pauses(self._log, "desired_read")
        while True:
            await self._link.up.wait()
            self._look.clear()
            pauses.begin()
            if self._dropped:
                # This read makes up for them.
                self._log.warning("desired_words_dropped", count=self._dropped)
                self._dropped = 0
            try:
                await self._read()
            except PeerError as e:
                await pauses.after(e, self._look)
            else:
                pauses.succeeded()
                await set_within(self._look, jittered(_READ_EVERY_S))

    async def _read(self) -> None:
        self._told_since.clear()
        async with self._link.life() as js:
            async for page in direct.pages(js, Bucket.DESIRED_STATE, desired_key(Pair(self._device, _ANY))):
                for entry in page:
                    self._found(entry)
                # No more than one page waits, however slowly it is taken.
                await self._none.wait()

    def _found(self, entry: Entry) -> None:
        try:
            deployment = parse_desired_key(entry.key).deployment
        except WireError as e:
            self._is_odd(entry.key, e)
            return
        if deployment not in self._told_since:
            self._wait(Heard(deployment, _word(entry), How.READ))

    def _is_odd(self, key: str, reason: WireError) -> None:
        if key not in self._odd_keys and len(self._odd_keys) < _ODD_KEYS_MAX:
            self._odd_keys.add(key)
            self._log.warning("desired_key_ignored", key=key, reason=str(reason))


_ANY = DeploymentName("*")


def _word(entry: Entry) -> Word:
    return NoValue.MARKER if entry.value is None else entry.value


def _size(heard: Heard) -> int:
    return len(heard.word) if isinstance(heard.word, bytes) else 0
