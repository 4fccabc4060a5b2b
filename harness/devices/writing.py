"""Writes of device-state, one at a time per pair, each attempt in the history with its outcome."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from fleet.wire import Bucket, DeviceId, Pair, kv_subject, state_key, stream_name
from harness.history import Op, Recorder
from harness.wait import ticks

PUT_STATE = "put device-state"
DELETE_STATE = "delete device-state"
ACK_WITHIN_S = 2.0
RETRY_EVERY_S = 0.05
_AT_ONCE_MAX = 256


class StateWriter:
    """Tries until the broker acknowledges: a device has nobody to give up to. `may_write` ends it: no, or an error."""

    def __init__(self, js: JetStreamContext, recorder: Recorder, may_write: Callable[[Pair], bool]) -> None:
        self._js = js
        self._recorder = recorder
        self._may_write = may_write
        self._turns: dict[Pair, asyncio.Lock] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE_MAX)

    @contextlib.asynccontextmanager
    async def turn(self, pair: Pair) -> AsyncIterator[None]:
        """The next write of this pair is yours."""
        async with self._turns.setdefault(pair, asyncio.Lock()), self._at_once:
            yield

    def is_writing(self, pair: Pair) -> bool:
        turn = self._turns.get(pair)
        return turn is not None and turn.locked()

    async def settled(self, devices: Iterable[DeviceId]) -> None:
        """On return, what these devices had begun to write has its outcome."""
        theirs = frozenset(devices)
        for pair, turn in list(self._turns.items()):
            if pair.device in theirs:
                async with turn:
                    pass

    async def put(self, pair: Pair, value: bytes) -> bool:
        return await self._write(pair, PUT_STATE, value, {})

    async def delete(self, pair: Pair) -> bool:
        return await self._write(pair, DELETE_STATE, b"", {"KV-Operation": "DEL"})

    async def _write(self, pair: Pair, action: str, value: bytes, headers: dict[str, str]) -> bool:
        """Whether it was acknowledged; else it may have been stored all the same, and nobody can tell."""
        async for _ in ticks(RETRY_EVERY_S):
            if not self._may_write(pair):
                break
            invoked_s = self._recorder.now_s
            try:
                ack = await self._js.publish(
                    kv_subject(Bucket.DEVICE_STATE, state_key(pair)),
                    value,
                    timeout=ACK_WITHIN_S,
                    stream=stream_name(Bucket.DEVICE_STATE),
                    # The client adds to the headers that it is given.
                    headers=dict(headers),
                )
            except NatsError as e:
                self._note(pair, action, invoked_s, detail=str(e) or type(e).__name__)
                continue
            except asyncio.CancelledError:
                self._note(pair, action, invoked_s, detail="closed before the answer")
                raise
            self._note(pair, action, invoked_s, revision=ack.seq, detail=value.decode())
            return True
        return False

    def _note(self, pair: Pair, action: str, invoked_s: float, *, revision: int | None = None, detail: str) -> None:
        self._recorder.add(
            Op(
                at_s=self._recorder.now_s,
                client=pair.device,
                action=action,
                target=f"{pair.device}.{pair.deployment}",
                invoked_s=invoked_s,
                outcome="info" if revision is None else "ok",
                revision=revision,
                detail=detail,
            )
        )
