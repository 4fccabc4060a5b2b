"""Every request that the API server answered in one namespace, from its audit log.

Counts come from here, not from a client's own word. The server writes the line before its answer ends (blocking
mode), so whoever has an answer finds its line on disk: `drain` needs no waiting.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec

from harness.errors import ServiceError
from harness.history import Recorder, Request
from harness.services.process import log_mark
from harness.wait import ticks

READ_EVERY_S = 0.05


class _Subject(msgspec.Struct):
    username: str = ""


class _Object(msgspec.Struct):
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Event(msgspec.Struct, rename="camel"):
    """The fields of audit.k8s.io/v1 Event that matter here."""

    verb: str
    user: _Subject
    request_received_timestamp: datetime
    stage_timestamp: datetime
    user_agent: str = ""
    object_ref: _Object = msgspec.field(default_factory=_Object)
    response_status: _Status = msgspec.field(default_factory=_Status)


_decoder = msgspec.json.Decoder(_Event)


class AuditTail:
    """Follows the log from where it stands now, in a task of its own; `close` it.

    One thing it cannot see: a watch is logged when it ends.
    """

    def __init__(self, path: Path, recorder: Recorder, *, namespace: str, offset: int | None = None) -> None:
        self.offset = log_mark(path) if offset is None else offset
        self._path = path
        self.recorder = recorder
        self._namespace = namespace
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Self:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"audit {self._namespace}")
        return self

    async def drain(self) -> None:
        """On return, whatever the server answered before the call is in the history.

        Raises:
            ServiceError: the log cannot be read.
        """
        # A line that ended the task's own reading is met again here: silence is never taken for a count.
        self._read()

    async def close(self) -> None:
        """Read to the end and stop. Idempotent. Raises what ended the reader early, if something did."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        self._read()

    async def _follow(self) -> None:
        async for _ in ticks(READ_EVERY_S):
            self._read()

    def _read(self) -> None:
        """Record the complete lines up to the end of the log as it is now."""
        with self._path.open("rb") as log:
            log.seek(self.offset)
            data = log.read()
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                event = _decoder.decode(line)
            except msgspec.MsgspecError as e:
                raise ServiceError(f"{self._path}: after byte {self.offset}: not an audit event: {e}") from e
            if event.object_ref.namespace == self._namespace:
                self._record(event)
            self.offset += len(line)

    def _record(self, event: _Event) -> None:
        self.recorder.add(
            Request(
                at_s=self.recorder.now_s,
                requested_s=self.recorder.at_wall(event.request_received_timestamp.timestamp()),
                user=event.user.username,
                user_agent=event.user_agent,
                verb=event.verb,
                resource=event.object_ref.resource,
                subresource=event.object_ref.subresource,
                name=event.object_ref.name,
                code=event.response_status.code,
                answered_s=self.recorder.at_wall(event.stage_timestamp.timestamp()),
            )
        )
