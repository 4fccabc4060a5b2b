"""Scripted devices: many devices on one NATS connection, each doing exactly what the script says.

They behave as the contract asks of an agent: wait for the buckets, publish facts and a heartbeat, listen on the
republished subject, read what is stored on each connect, report a phase for each desired state, never step back in
event time, and forget a deployment when a delete marker says so. What they report is decided by `policy`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from fleet.errors import WireError
from fleet.wire import (
    DESIRED_SUBJECT_PREFIX,
    Bucket,
    DesiredState,
    DeviceId,
    DeviceInfo,
    DeviceState,
    Heartbeat,
    Owner,
    Pair,
    Phase,
    decode_desired_state,
    device_id,
    heartbeat_key,
    info_key,
    kv_subject,
    parse_desired_key,
    parse_desired_subject,
    state_key,
    stream_name,
)
from harness.errors import ServiceError
from harness.history import Op, Recorder
from harness.services.nats_client import close_client
from harness.wait import end_tasks, ticks, wait_for

PUT_STATE = "put device-state"
DELETE_STATE = "delete device-state"
_ACK_WITHIN_S = 2.0
_CONNECT_WITHIN_S = 5
_RECONNECT_EVERY_S = 1
_BUCKETS_WITHIN_S = 60.0
_RETRY_EVERY_S = 0.05
_AT_ONCE_MAX = 64

Policy = Callable[[Pair, DesiredState], tuple[Phase, str | None]]


def always_running(_: Pair, __: DesiredState) -> tuple[Phase, str | None]:
    return Phase.RUNNING, None


class ScriptedDevices:
    """All devices of one test. `close` ends them."""

    def __init__(self, client: Client, devices: Sequence[DeviceId], recorder: Recorder) -> None:
        self.ids = tuple(devices)
        self.policy: Policy = always_running
        self.desired: dict[Pair, DesiredState] = {}
        self.reported: dict[Pair, DeviceState] = {}
        self._mine = frozenset(devices)
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=_ACK_WITHIN_S)
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: dict[Pair, asyncio.Lock] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE_MAX)
        self._failure: BaseException | None = None
        self._closing = False
        # What was said of these pairs since the last connect is newer than what a read begun after it finds.
        self._heard: set[Pair] = set()
        self._reading = asyncio.Lock()
        self.ready = asyncio.Event()

    @classmethod
    async def start(cls, url: str, names: Sequence[str], recorder: Recorder) -> Self:
        """Connect; the rest happens by itself as soon as the buckets are there. `ready` tells when.

        Raises:
            ServiceError: no broker answers there.
        """
        ids = [device_id(name) for name in names]
        client = Client()
        devices = cls(client, ids, recorder)
        try:
            # Without a deadline of ours the client would try the first connect for ever, too.
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await client.connect(
                    url,
                    name="fleetproof-devices",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_EVERY_S,
                    reconnected_cb=devices._reconnected,
                    error_cb=devices._on_error,
                )
        except (NatsError, OSError) as e:
            await devices.close()
            raise ServiceError(f"scripted devices: no broker at {url}: {str(e) or type(e).__name__}") from e
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
        """On return, every device has published its facts and knows what it is to run."""

        def probe() -> bool | None:
            if self._failure is not None:
                raise ServiceError(f"scripted devices failed: {self._failure}") from self._failure
            return True if self.ready.is_set() else None

        await wait_for(f"{len(self.ids)} scripted devices to be ready", probe, deadline_s=deadline_s)

    async def report(self, pair: Pair, phase: Phase, error: str | None = None, *, owner: Owner | None = None) -> None:
        """Report a phase, as an agent that acted on `owner` (what is desired now, if not given)."""
        lock = self._writing.setdefault(pair, asyncio.Lock())
        async with lock, self._at_once:
            if owner is None:
                desired = self.desired.get(pair)
                if desired is None:
                    return
                owner = desired.owner
            state = DeviceState(
                phase=phase,
                last_event_at=self._event_time(pair),
                owner=owner,
                container_ids={},
                last_error=error,
            )
            await self._write(pair, PUT_STATE, state.encode())
            self.reported[pair] = state

    def _event_time(self, pair: Pair) -> datetime:
        """Now, and after whatever was reported before."""
        now = datetime.now(UTC)
        last = self.reported.get(pair)
        return now if last is None else max(now, last.last_event_at + timedelta(milliseconds=1))

    async def _forget(self, pair: Pair) -> None:
        lock = self._writing.setdefault(pair, asyncio.Lock())
        async with lock, self._at_once:
            if self.reported.pop(pair, None) is not None:
                await self._write(pair, DELETE_STATE, b"", {"KV-Operation": "DEL"})

    async def _write(self, pair: Pair, action: str, value: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish until it is acknowledged: a device has nobody to give up to. `close` ends it.

        Each attempt stands in the history with its outcome.
        """
        async for _ in ticks(_RETRY_EVERY_S):
            if self._closing:
                raise ServiceError(f"{pair.device} has nothing to write to: the scripted devices are closed")
            invoked_s = self._recorder.now_s
            try:
                ack = await self._js.publish(
                    kv_subject(Bucket.DEVICE_STATE, state_key(pair)),
                    value,
                    timeout=_ACK_WITHIN_S,
                    stream=stream_name(Bucket.DEVICE_STATE),
                    headers=dict(headers or {}),
                )
            except NatsError as e:
                # It may have been stored all the same: nobody can tell.
                self._note(pair, action, invoked_s, outcome_detail=str(e) or type(e).__name__)
                continue
            except asyncio.CancelledError:
                self._note(pair, action, invoked_s, outcome_detail="closed before the answer")
                raise
            self._note(pair, action, invoked_s, revision=ack.seq, outcome_detail=value.decode())
            return

    def _note(
        self, pair: Pair, action: str, invoked_s: float, *, revision: int | None = None, outcome_detail: str
    ) -> None:
        self._recorder.add(
            Op(
                at_s=self._recorder.now_s,
                client=pair.device,
                action=action,
                target=f"{pair.device}.{pair.deployment}",
                invoked_s=invoked_s,
                outcome="info" if revision is None else "ok",
                revision=revision,
                detail=outcome_detail,
            )
        )

    async def _join(self) -> None:
        """Wait for the buckets, as agents do; say who we are; listen; read what is there already."""
        await wait_for("the operator to create the buckets", self._buckets_there, deadline_s=_BUCKETS_WITHIN_S)
        await self._client.subscribe(f"{DESIRED_SUBJECT_PREFIX}.>", cb=self._told)
        async with asyncio.TaskGroup() as group:
            for device in self.ids:
                group.create_task(self._introduce(device))
        await self._catch_up()
        self.ready.set()

    async def _reconnected(self) -> None:
        """What was said while the link was down came to nobody: read what is stored, as on the first connect."""
        if self.ready.is_set() and not self._closing:
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """Act on what is stored now, and forget what is stored no more."""
        async with self._reading:
            self._heard.clear()
            stored: dict[Pair, bytes] = {}
            async for _ in ticks(_RETRY_EVERY_S):
                with contextlib.suppress(NatsError):
                    for key, value in await self._stored():
                        with contextlib.suppress(WireError):
                            stored[parse_desired_key(key)] = value
                    break
            for pair in (self.desired.keys() | stored.keys()) - self._heard:
                if pair in stored:
                    self._take(pair, stored[pair])
                else:
                    self._drop(pair)

    async def _buckets_there(self) -> bool | None:
        for bucket in Bucket:
            try:
                await self._js.stream_info(stream_name(bucket))
            except NatsError:
                return None
        return True

    async def _introduce(self, device: DeviceId) -> None:
        info = DeviceInfo(arch="x86_64", os="linux", agent_version="0.0.0", labels={}, boot_id="scripted")
        beat = Heartbeat(agent_version="0.0.0", instance_id="scripted", sequence=1, busy=False)
        said = {
            kv_subject(Bucket.DEVICE_INFO, info_key(device)): info.encode(),
            kv_subject(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device)): beat.encode(),
        }
        async with self._at_once:
            for subject, value in said.items():
                async for _ in ticks(_RETRY_EVERY_S):
                    with contextlib.suppress(NatsError):
                        await self._js.publish(subject, value)
                        break

    async def _stored(self) -> list[tuple[str, bytes]]:
        """What desired-state holds now, read once, by a consumer that ends with the reading."""
        subscription = await self._js.subscribe(
            kv_subject(Bucket.DESIRED_STATE, ">"),
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT),
        )
        try:
            info = await subscription.consumer_info()
            promised = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
            messages = [await subscription.next_msg(timeout=_ACK_WITHIN_S) for _ in range(promised)]
        finally:
            await subscription.unsubscribe()
        prefix = kv_subject(Bucket.DESIRED_STATE, "")
        return [(m.subject.removeprefix(prefix), m.data) for m in messages if "KV-Operation" not in (m.headers or {})]

    async def _told(self, message: Msg) -> None:
        """The republished subject: what was stored, delete markers too."""
        try:
            pair = parse_desired_subject(message.subject)
        except WireError:
            return
        self._heard.add(pair)
        if "KV-Operation" in (message.headers or {}):
            self._drop(pair)
        else:
            self._take(pair, message.data)

    def _drop(self, pair: Pair) -> None:
        if self.desired.pop(pair, None) is not None:
            self._spawn(self._forget(pair))

    def _take(self, pair: Pair, value: bytes) -> None:
        """Act on a desired state of one of our devices, unless it is the one we acted on already."""
        if pair.device not in self._mine:
            return
        try:
            desired = decode_desired_state(value)
        except WireError:
            return
        if self.desired.get(pair) == desired:
            return
        self.desired[pair] = desired
        phase, error = self.policy(pair, desired)
        self._spawn(self.report(pair, phase, error, owner=desired.owner))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._closing:
            work.close()
            return
        task = asyncio.create_task(work, name="scripted devices")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()

    async def _on_error(self, error: Exception) -> None:
        """A lost link is what scenarios make; an error of our own or a message that was dropped is not."""
        if isinstance(error, SlowConsumerError) or not isinstance(error, NatsError | OSError):
            self._failure = self._failure or error
