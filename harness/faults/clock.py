"""Devices whose clocks are wrong: years ahead, in 1970 (a flat battery), hours behind, or jumping to and fro."""

import itertools
from collections.abc import Sequence

from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from fleet.errors import WireError
from fleet.wire import Bucket, Pair, decode_device_state, device_id, kv_subject, state_key, stream_name
from harness.devices.scripted import ScriptedDevices
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.wait import wait_for

REPORTED_WITHIN_S = 10.0
# A report is under way for far less, and no clock that is set wrong here is off by so little.
_UNDER_WAY_S_MAX = 30.0


class ClockSkew(Fault):
    """Sets the clocks of some devices wrong, and right again.

    Each time they are installed anew. An agent never steps back in event time, so it would carry a wrong time on for
    as long as it remembers one; and a device without memory is how such a clock comes about.
    """

    name = "clock-skew"

    def __init__(
        self, js: JetStreamContext, devices: ScriptedDevices, names: Sequence[str], offs_s: Sequence[float]
    ) -> None:
        """`offs_s` is by how many seconds the clocks are off, report by report, and from the start again."""
        self.target = ", ".join(names)
        self._js = js
        self._devices = devices
        self._ids = [device_id(name) for name in names]
        self._offs_s = tuple(offs_s)

    async def apply(self) -> None:
        for device in self._ids:
            self._devices.clocks_off_s[device] = itertools.cycle(self._offs_s).__next__
        await self._install_anew()

    async def prove_active(self) -> str:
        """By what is stored: the time that a report says, against the broker's own of storing it."""
        off_s = [await self._stored_off_s(pair) for pair in self._pairs()]
        for found_s in off_s:
            if not any(abs(found_s - wanted_s) <= _UNDER_WAY_S_MAX for wanted_s in self._offs_s):
                raise ServiceError(f"{self.target}: a report is {found_s:.0f} s off the broker's clock")
        return f"reports are stored with times {', '.join(f'{found_s:.0f} s' for found_s in off_s)} off the broker's"

    async def heal(self) -> None:
        for device in self._ids:
            self._devices.clocks_off_s.pop(device, None)
        await self._install_anew()

    async def prove_healed(self) -> str:
        off_s = [await self._stored_off_s(pair) for pair in self._pairs()]
        if wrong := [found_s for found_s in off_s if abs(found_s) > _UNDER_WAY_S_MAX]:
            raise ServiceError(f"{self.target}: a report is {wrong[0]:.0f} s off the broker's clock")
        return f"{len(off_s)} reports are stored with times like the broker's"

    async def _install_anew(self) -> None:
        """On return they have reported whatever is stored for them."""
        names = list(self._ids)
        await self._devices.forget(names)
        await self._devices.rejoin(names)
        pairs = self._pairs()
        await wait_for(
            f"{len(pairs)} reports of {self.target}",
            lambda: True if self._devices.reported.keys() >= set(pairs) else None,
            deadline_s=REPORTED_WITHIN_S,
        )

    def _pairs(self) -> list[Pair]:
        pairs = sorted(pair for pair in self._devices.desired if pair.device in self._ids)
        if {pair.device for pair in pairs} != set(self._ids):
            raise ServiceError(f"{self.target}: not each of them has something to report")
        return pairs

    async def _stored_off_s(self, pair: Pair) -> float:
        subject = kv_subject(Bucket.DEVICE_STATE, state_key(pair))
        try:
            message = await self._js.get_last_msg(stream_name(Bucket.DEVICE_STATE), subject)
            at = decode_device_state(message.data or b"").last_event_at
        except (NatsError, WireError) as e:
            raise ServiceError(f"{state_key(pair)} cannot be read: {str(e) or type(e).__name__}") from e
        if message.time is None:
            raise ServiceError(f"{state_key(pair)}: the broker does not say when it stored it")
        return (at - message.time).total_seconds()
