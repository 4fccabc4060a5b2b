"""The heartbeats of all scripted devices, from one task: published in a row, acknowledged by the way.

    devices -> [one slice of them each tenth of the interval] -> device-heartbeat -> acks on one inbox

A beat is never repeated, since the next one says more; only a device's first one is insisted on.
"""

import asyncio
import itertools
from collections.abc import Collection, Iterable, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fleet.wire import Bucket, DeviceId, Heartbeat, heartbeat_key, kv_subject
from harness.wait import ticks

AGENT_VERSION = "0.0.0"
INSTANCE_ID = "scripted"
# Two hundred at once would be felt by whatever else this loop has to do.
_SLICES = 10
_ACK_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.01


class Pulse:
    """`listen` first, then `run` in a task. Devices that are in `mute` make no sound."""

    def __init__(self, client: Client, devices: Sequence[DeviceId], mute: Collection[DeviceId], every_s: float) -> None:
        self._mute = mute
        self._client = client
        self._devices = devices
        self._every_s = every_s
        self._number = {device: number for number, device in enumerate(devices)}
        self._sequence = dict.fromkeys(devices, 0)
        # Device -> the sequence of its newest beat that was acknowledged.
        self._acked = dict.fromkeys(devices, 0)
        self._inbox = ""

    async def listen(self) -> None:
        """Once connected, and once: a client subscribes again by itself after a cut."""
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*.*", cb=self._on_ack)

    async def run(self) -> None:
        """Beat for every device that is not mute, each once per interval. Ends by cancellation."""
        turns = itertools.cycle(range(_SLICES))
        async for _ in ticks(self._every_s / _SLICES):
            # Without a link the client would queue them all, and they would arrive as signs of life long after.
            if not self._client.is_connected:
                continue
            for device in self._devices[next(turns) :: _SLICES]:
                if device not in self._mute:
                    await self._publish(device)

    async def insist(self, device: DeviceId) -> None:
        """Beat until one is acknowledged, mute or not."""
        before = self._sequence[device]
        loop = asyncio.get_running_loop()
        tried_at = -_ACK_WITHIN_S
        async for _ in ticks(_LOOK_EVERY_S):
            if self._acked[device] > before:
                return
            if self._client.is_connected and loop.time() - tried_at >= _ACK_WITHIN_S:
                tried_at = loop.time()
                await self._publish(device)

    async def settled(self, devices: Iterable[DeviceId]) -> None:
        """On return no beat of these mute devices is on its way, as far as one can know: an ack may be lost."""
        waiting = list(devices)
        ends_at = asyncio.get_running_loop().time() + _ACK_WITHIN_S
        async for _ in ticks(_LOOK_EVERY_S):
            late = asyncio.get_running_loop().time() > ends_at
            if late or all(self._acked[device] == self._sequence[device] for device in waiting):
                return

    async def _publish(self, device: DeviceId) -> None:
        self._sequence[device] += 1
        sequence = self._sequence[device]
        beat = Heartbeat(agent_version=AGENT_VERSION, instance_id=INSTANCE_ID, sequence=sequence, busy=False)
        subject = kv_subject(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device))
        try:
            await self._client.publish(subject, beat.encode(), reply=f"{self._inbox}.{self._number[device]}.{sequence}")
        except (NatsError, OSError):
            # The link went this instant; the next turn looks again.
            return

    async def _on_ack(self, message: Msg) -> None:
        # Refusals and "no responders" come here too, and have no number of a stored message.
        if b'"seq"' not in message.data:
            return
        number, sequence = message.subject.rsplit(".", 2)[1:]
        device = self._devices[int(number)]
        self._acked[device] = max(self._acked[device], int(sequence))
