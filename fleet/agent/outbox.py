"""Reports out: the latest of each deployment, until it is stored. Bounded by the number of deployments.

    put, delete --> due (one place each) --> one at a time, in turn --> device-state
    (re)connected: what is stored is read, and what differs is due; asked to publish again: everything is due

What is stored is never stepped back from in event time, also on a new disk and with a clock that was set back: a
report that is not later than the stored one is given the time after that.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from fleet.agent.link import Link
from fleet.agent.own_key import OwnKey
from fleet.agent.pausing import Pauses
from fleet.bus import direct
from fleet.bus.entry import Entry
from fleet.errors import PeerError, WireError
from fleet.logs import get_logger
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceId,
    DeviceState,
    Pair,
    decode_device_state,
    parse_state_key,
    state_key,
)

_TICK = timedelta(milliseconds=1)
_ANY = DeploymentName("*")


class Outbox:
    """`beaten` is set once a heartbeat was stored: nothing is published before (rule L3).

    `taken_back` is called once nothing is stored any more of what was to be deleted.
    """

    def __init__(
        self,
        link: Link,
        device: DeviceId,
        beaten: asyncio.Event,
        *,
        taken_back: Callable[[DeploymentName], None] = lambda _: None,
    ) -> None:
        self._link = link
        self._device = device
        self._beaten = beaten
        self._taken_back = taken_back
        self._keys: dict[DeploymentName, OwnKey] = {}
        self._found: dict[DeploymentName, DeviceState] = {}
        # What is to be stored. None: no value.
        self._wanted: dict[DeploymentName, DeviceState | None] = {}
        # Whose turn it is; True: also if the same is stored already.
        self._due: dict[DeploymentName, bool] = {}
        self._wake = asyncio.Event()
        self._unread = True
        self._was_read = asyncio.Event()
        self._log = get_logger("outbox")
        link.on_back(self.look)

    def put(self, deployment: DeploymentName, state: DeviceState) -> None:
        """Publish this as soon as possible, unless a later one comes first. Raises WireError if it has no bytes."""
        state.encode()
        self._want(deployment, state)

    def delete(self, deployment: DeploymentName) -> None:
        """Take back whatever was published of it."""
        self._want(deployment, None)

    def look(self) -> None:
        """Something may have changed what is stored: read it, and publish what differs."""
        self._unread = True
        self._wake.set()

    def again(self) -> None:
        """Publish everything again, also what is stored."""
        self._due = dict.fromkeys(self._wanted, True)
        self.look()

    async def known(self) -> Mapping[DeploymentName, DeviceState]:
        """What was stored when it was first read, as far as it can be understood. Waits for that."""
        await self._was_read.wait()
        return dict(self._found)

    async def run(self) -> None:
        """Until cancelled."""
        pauses = Pauses(self._log, "reports")
        while True:
            await self._link.up.wait()
            self._wake.clear()
            pauses.begin()
            try:
                await self._publish_all()
            except PeerError as e:
                await pauses.after(e, self._wake)
            else:
                pauses.succeeded()
                await self._wake.wait()

    def _want(self, deployment: DeploymentName, state: DeviceState | None) -> None:
        self._wanted[deployment] = state
        self._due.setdefault(deployment, False)
        self._wake.set()

    async def _publish_all(self) -> None:
        if self._unread:
            await self._read()
        await self._beaten.wait()
        while self._due and not self._unread:
            deployment = next(iter(self._due))
            again = self._due.pop(deployment)
            try:
                await self._publish(deployment, again=again)
            except PeerError:
                # To the end: what is wrong with one key does not hold up the others.
                self._due[deployment] = self._due.pop(deployment, False) or again
                raise

    async def _read(self) -> None:
        self._unread = False
        found: dict[DeploymentName, Entry] = {}
        try:
            async with self._link.life() as js:
                async for page in direct.pages(js, Bucket.DEVICE_STATE, state_key(Pair(self._device, _ANY))):
                    for entry in page:
                        # What has our keys' form and no deployment's name is none of ours.
                        with suppress(WireError):
                            found[parse_state_key(entry.key).deployment] = entry
        except PeerError:
            self._unread = True
            raise
        for deployment, key in self._keys.items():
            if deployment not in found:
                # Gone, or this copy of the stream lags: the leader is asked before the next write.
                key.forget()
        for deployment, entry in found.items():
            self._key(deployment).learn(entry)
        for deployment in self._wanted:
            self._due.setdefault(deployment, False)
        if not self._was_read.is_set():
            states = {deployment: _decoded(entry.value) for deployment, entry in found.items()}
            self._found = {deployment: state for deployment, state in states.items() if state is not None}
            self._was_read.set()

    async def _publish(self, deployment: DeploymentName, *, again: bool) -> None:
        key, state = self._key(deployment), self._wanted[deployment]
        if state is not None:
            await key.put(lambda stored: _over(stored, state, again=again))
            return
        await key.delete()
        if self._wanted[deployment] is None:
            del self._wanted[deployment], self._keys[deployment]
            self._due.pop(deployment, None)
            self._taken_back(deployment)

    def _key(self, deployment: DeploymentName) -> OwnKey:
        if deployment not in self._keys:
            key = state_key(Pair(self._device, deployment))
            self._keys[deployment] = OwnKey(self._link, Bucket.DEVICE_STATE, key, self.look)
        return self._keys[deployment]


def _over(stored: bytes | None, state: DeviceState, *, again: bool) -> bytes | None:
    """What is to be written, None if it says nothing new."""
    before = _decoded(stored)
    if before is None or before.last_event_at < state.last_event_at:
        return state.encode()
    if replace(before, last_event_at=state.last_event_at) == state:
        return before.encode() if again else None
    try:
        return replace(state, last_event_at=before.last_event_at + _TICK).encode()
    except OverflowError:
        # The end of time was reported: of equal times the one stored later counts.
        return replace(state, last_event_at=before.last_event_at).encode()


def _decoded(value: bytes | None) -> DeviceState | None:
    try:
        return None if value is None else decode_device_state(value)
    except WireError:
        return None
