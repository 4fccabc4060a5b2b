"""Scripted devices: many devices on one NATS connection, each doing exactly what the script says.

They behave as the contract asks of an agent: wait for the buckets, publish facts and heartbeats, listen on the
republished subject, read what is stored on each connect, report a phase for each desired state, never step back in
event time, forget a deployment when a delete marker says so, and say all of it again when the operator asks.
What they report is decided by `policy`; which of them are silent is decided by the script.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError
from nats.js.client import JetStreamContext

from fleet.errors import WireError
from fleet.wire import (
    DESIRED_SUBJECT_PREFIX,
    REPUBLISH_SUBJECT,
    Bucket,
    DeviceId,
    DeviceInfo,
    Pair,
    device_id,
    info_key,
    kv_subject,
    parse_desired_key,
    parse_desired_subject,
    stream_name,
)
from harness.devices.acting import ActingDevices
from harness.devices.hearing import is_marker, republish_window_s
from harness.devices.pulse import AGENT_VERSION, Pulse
from harness.devices.reading import stored_desired
from harness.devices.writing import ACK_WITHIN_S, RETRY_EVERY_S
from harness.errors import ServiceError
from harness.history import Op, Recorder
from harness.services.nats_client import HarnessClient, close_client, connecting
from harness.wait import end_tasks, ticks, wait_for

BEAT_EVERY_S = 1.0
_RECONNECT_EVERY_S = 1
_BUCKETS_WITHIN_S = 60.0
_AT_ONCE_MAX = 64

Labels = Mapping[str, Mapping[str, str]]
_NO_LABELS: Labels = {}


class ScriptedDevices(ActingDevices):
    """All devices of one test. `close` ends them."""

    def __init__(
        self, client: Client, devices: Sequence[DeviceId], recorder: Recorder, labels: Labels, beat_every_s: float
    ) -> None:
        self._js: JetStreamContext = client.jetstream(timeout=ACK_WITHIN_S)
        super().__init__(devices, self._js, recorder)
        # Nobody waits half a minute in a test for what an operator may ask for within half a minute.
        self.republish_window_s_max = 1.0
        self._client = client
        self._recorder = recorder
        self._labels = labels
        self._pulse = Pulse(client, self.ids, self._mute, beat_every_s)
        self._random = random.Random(len(devices))  # noqa: S311 - spreads load, keeps no secret
        self._at_once = asyncio.Semaphore(_AT_ONCE_MAX)
        # What was said of these pairs since the last connect is newer than what a read begun after it finds.
        self._heard: set[Pair] = set()
        self._reading = asyncio.Lock()
        self.ready = asyncio.Event()

    @classmethod
    async def start(
        cls,
        url: str,
        names: Sequence[str],
        recorder: Recorder,
        *,
        labels: Labels = _NO_LABELS,
        beat_every_s: float = BEAT_EVERY_S,
    ) -> Self:
        """Connect; the rest happens by itself as soon as the buckets are there. `ready` tells when.

        Args:
            url: of the broker.
            names: the ids of the devices.
            recorder: gets an operation per report. Heartbeats are too many; only their silence is told.
            labels: what a device's facts say, by device; nothing for those that are not in it.
            beat_every_s: between two heartbeats of one device.

        Raises:
            ServiceError: no broker answers there.
        """
        client = HarnessClient()
        devices = cls(client, [device_id(name) for name in names], recorder, labels, beat_every_s)
        back, error = devices._reconnected, devices._on_error
        async with connecting(
            client, url, "scripted devices", reconnect_every_s=_RECONNECT_EVERY_S, back=back, error=error
        ):
            pass
        devices._spawn(devices._join())
        return devices

    async def close(self) -> None:
        """End every task and the connection. Raises what a task died of, if one did. Idempotent."""
        self._closing = True
        await end_tasks(self._tasks)
        await close_client(self._client)
        if self._failure is not None:
            raise ServiceError(f"scripted devices failed: {self._failure}") from self._failure

    async def wait_ready(self, deadline_s: float = _BUCKETS_WITHIN_S) -> None:
        """On return, every device has published its facts and a beat, and knows what it is to run."""

        def probe() -> bool | None:
            if self._failure is not None:
                raise ServiceError(f"scripted devices failed: {self._failure}") from self._failure
            return True if self.ready.is_set() else None

        await wait_for(f"{len(self.ids)} scripted devices to be ready", probe, deadline_s=deadline_s)

    async def silence(self, names: Iterable[str]) -> None:
        """These devices lose their power: no beat, no report, no answer. On return nothing of them is on its way."""
        await self._hush(list(map(device_id, names)), "silence")

    async def resume(self, names: Iterable[str]) -> None:
        """They come back with what they knew: they beat, then make up for what they missed."""
        await self._come_back(list(map(device_id, names)), self._pulse.insist, "resume")

    async def forget(self, names: Iterable[str]) -> None:
        """They are wiped: silent, and what they knew is gone. What they had published stays where it is."""
        devices = list(map(device_id, names))
        await self._hush(devices, "forget")
        self._wipe(devices)

    async def rejoin(self, names: Iterable[str]) -> None:
        """They come back as new ones: facts and a beat, then a report of whatever is stored for them."""
        await self._come_back(list(map(device_id, names)), self._introduce, "rejoin")

    async def _hush(self, devices: Sequence[DeviceId], action: str) -> None:
        invoked_s = self._recorder.now_s
        self._mute.update(devices)
        await self._pulse.settled(devices)
        await self._states.settled(devices)
        self._forget_unfinished(devices)
        self._note(devices, action, invoked_s)

    async def _come_back(
        self, devices: Sequence[DeviceId], begin: Callable[[DeviceId], Coroutine[None, None, None]], action: str
    ) -> None:
        invoked_s = self._recorder.now_s
        async with asyncio.TaskGroup() as group:
            for device in devices:
                group.create_task(begin(device))
        self._mute.difference_update(devices)
        self._note(devices, action, invoked_s)
        await self._catch_up()

    def _note(self, devices: Iterable[DeviceId], action: str, invoked_s: float) -> None:
        at_s = self._recorder.now_s
        for device in devices:
            self._recorder.add(
                Op(at_s=at_s, client=device, action=action, target=device, invoked_s=invoked_s, outcome="ok")
            )

    async def _join(self) -> None:
        """Wait for the buckets, as agents do; say who we are; listen; read what is there already."""
        await wait_for("the operator to create the buckets", self._buckets_there, deadline_s=_BUCKETS_WITHIN_S)
        await self._pulse.listen()
        # Facts and a sign of life come before any report.
        async with asyncio.TaskGroup() as group:
            for device in self.ids:
                group.create_task(self._introduce(device))
        self._spawn(self._pulse.run(), "heartbeats")
        await self._client.subscribe(f"{DESIRED_SUBJECT_PREFIX}.>", cb=self._told)
        await self._client.subscribe(REPUBLISH_SUBJECT, cb=self._asked)
        await self._catch_up()
        self.ready.set()

    async def _reconnected(self) -> None:
        """What was said while the link was down came to nobody: read what is stored, as on the first connect."""
        if self.ready.is_set() and not self._closing:
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """Act on what is stored now, and forget what a delete marker is stored for. Absence is no deletion."""
        async with self._reading:
            self._heard.clear()
            stored: dict[Pair, bytes | None] = {}
            async for _ in ticks(RETRY_EVERY_S):
                with contextlib.suppress(NatsError):
                    for key, value in await stored_desired(self._js):
                        with contextlib.suppress(WireError):
                            stored[parse_desired_key(key)] = value
                    break
            for pair in stored.keys() - self._heard:
                value = stored[pair]
                if value is None:
                    self.drop(pair)
                else:
                    self.take(pair, value)

    async def _buckets_there(self) -> bool | None:
        for bucket in Bucket:
            try:
                await self._js.stream_info(stream_name(bucket))
            except NatsError:
                return None
        return True

    async def _introduce(self, device: DeviceId) -> None:
        labels = self._labels.get(device, {})
        info = DeviceInfo(arch="x86_64", os="linux", agent_version=AGENT_VERSION, labels=labels, boot_id="scripted")
        async with self._at_once:
            async for _ in ticks(RETRY_EVERY_S):
                with contextlib.suppress(NatsError):
                    await self._js.publish(kv_subject(Bucket.DEVICE_INFO, info_key(device)), info.encode())
                    break
        await self._pulse.insist(device)

    async def _asked(self, message: Msg) -> None:
        """The operator lost what we had said: every device says it again, at a random time within the window."""
        window_s = republish_window_s(message, self.republish_window_s_max)
        if window_s is None:
            return
        asked = [device for device in self.ids if device not in self._mute]
        self._note(asked, "republish", self._recorder.now_s)
        for device in asked:
            self._spawn(self._say_again(device, self._random.uniform(0.0, window_s)))

    async def _say_again(self, device: DeviceId, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if device not in self._mute:
            await self._introduce(device)
            await self.report_again(device)

    async def _told(self, message: Msg) -> None:
        """The republished subject: what was stored, delete markers too."""
        try:
            pair = parse_desired_subject(message.subject)
        except WireError:
            return
        self._heard.add(pair)
        if is_marker(message.headers):
            self.drop(pair)
        else:
            self.take(pair, message.data)

    async def _on_error(self, error: Exception) -> None:
        """A lost link is what scenarios make; an error of our own or a message that was dropped is not."""
        if isinstance(error, SlowConsumerError) or not isinstance(error, NatsError | OSError):
            self._failure = self._failure or error
