"""Devices lose their power: no beat, no report, no answer, until they have it again."""

import asyncio
from collections.abc import Mapping, Sequence

from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, device_id, heartbeat_key, kv_subject, stream_name
from harness.devices.scripted import BEAT_EVERY_S, ScriptedDevices
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.wait import wait_for

# Whoever has power beats within one interval; a busy machine may be late by as much again.
_BEATS_MISSED = 2
_BACK_WITHIN_S = 10.0


class PowerOff(Fault):
    """Some of the scripted devices, all at once. Proved by what the broker stores, and not by what they say."""

    name = "power-off"

    def __init__(
        self,
        js: JetStreamContext,
        devices: ScriptedDevices,
        names: Sequence[str],
        *,
        beat_every_s: float = BEAT_EVERY_S,
    ) -> None:
        """`js` is of a connection that this fault does not touch; `beat_every_s` is how often a device beats."""
        self.target = names[0] if len(names) == 1 else f"{len(names)} devices"
        self._js = js
        self._devices = devices
        self._names = tuple(names)
        self._beat_every_s = beat_every_s
        # Their newest beats while they were off.
        self._last: Mapping[str, int] = {}

    async def apply(self) -> None:
        await self._devices.silence(self._names)

    async def prove_active(self) -> str:
        before = await self._newest()
        if unheard := [name for name, revision in before.items() if not revision]:
            raise ServiceError(f"{unheard[0]} has never beaten: that it does not beat now shows nothing")
        watched_s = _BEATS_MISSED * self._beat_every_s
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + watched_s
        await wait_for(
            "the beats that do not come",
            lambda: True if loop.time() >= ends_at else None,
            deadline_s=watched_s + 1.0,
        )
        self._last = await self._newest()
        beating = [name for name in self._names if self._last[name] != before[name]]
        if beating:
            raise ServiceError(f"{len(beating)} of {len(self._names)} devices still beat, e.g. {beating[0]}")
        return f"the broker stored no beat of them for {watched_s:g} s"

    async def heal(self) -> None:
        await self._devices.resume(self._names)

    async def prove_healed(self) -> str:
        async def back() -> bool | None:
            newest = await self._newest()
            return True if all(newest[name] > self._last.get(name, 0) for name in self._names) else None

        await wait_for(f"a beat of {self.target}", back, deadline_s=_BACK_WITHIN_S, interval_s=0.05)
        return "the broker stored a beat of each of them"

    async def _newest(self) -> Mapping[str, int]:
        """The revision of each device's last beat, 0 if there is none."""
        return {name: await self._revision(name) for name in self._names}

    async def _revision(self, name: str) -> int:
        subject = kv_subject(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device_id(name)))
        try:
            return (await self._js.get_last_msg(stream_name(Bucket.DEVICE_HEARTBEAT), subject)).seq or 0
        except NotFoundError:
            return 0
        except NatsError as e:
            raise ServiceError(f"the broker does not say when {name} beat: {str(e) or type(e).__name__}") from e
