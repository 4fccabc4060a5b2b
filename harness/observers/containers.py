"""Follows what happened to the containers of one device host, from podman's own log of events.

The log is a file on the host's disk, so podman need not answer for it to be read, and nothing is missed while its
service is away or the host has no power. Of a power cut itself it tells nothing: who is killed writes no line.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec

from harness.errors import ServiceError
from harness.history import ContainerEvent, Recorder
from harness.wait import end_tasks, ticks

READ_EVERY_S = 0.02
_CONTAINER = "container"
_DIED = "died"


class _Event(msgspec.Struct):
    """A line of the log. Other types of events (image, system, volume) lack some of the fields."""

    type: str = msgspec.field(name="Type")
    event: str = msgspec.field(name="Status")
    time: datetime = msgspec.field(name="Time")
    id: str = msgspec.field(name="ID", default="")
    name: str = msgspec.field(name="Name", default="")
    image: str = msgspec.field(name="Image", default="")
    exit_code: int = msgspec.field(name="ContainerExitCode", default=0)
    attributes: dict[str, str] | None = msgspec.field(name="Attributes", default=None)


_decoder = msgspec.json.Decoder(_Event)


class ContainerObserver:
    """A task of its own, from `start` until it is closed; it outlives the host's power."""

    def __init__(self, host: str, path: Path, recorder: Recorder) -> None:
        """`path` is the log of the host of that name: `DeviceHost.events`."""
        self._host = host
        self._path = path
        self._recorder = recorder
        self._offset = 0
        # Only the first events of a container's life carry them.
        self._labels: dict[str, Mapping[str, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Self:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"containers of {self._host}")
        return self

    async def drain(self) -> None:
        """On return, whatever podman wrote before the call is in the history. Raises ServiceError."""
        self._read()

    async def close(self) -> None:
        """Read to the end and stop. Idempotent. Raises what ended the reader early, if something did."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.done():
            task.result()
        await end_tasks({task})
        self._read()

    async def _follow(self) -> None:
        async for _ in ticks(READ_EVERY_S):
            self._read()

    def _read(self) -> None:
        """Record the complete lines up to the end of the log as it is now."""
        for line in _complete_lines(self._path, self._offset):
            event = _decoded(line, self._path, self._offset)
            self._offset += len(line)
            if event.type == _CONTAINER:
                self._record(event)

    def _record(self, event: _Event) -> None:
        if event.attributes:
            self._labels.setdefault(event.id, event.attributes)
        self._recorder.add(
            ContainerEvent(
                at_s=self._recorder.now_s,
                happened_s=self._recorder.at_wall(event.time.timestamp()),
                host=self._host,
                event=event.event,
                id=event.id,
                name=event.name,
                image=event.image,
                labels=dict(self._labels.get(event.id, {})),
                # Podman leaves a zero out.
                exit_code=event.exit_code if event.event == _DIED else None,
            )
        )


def _complete_lines(path: Path, offset: int) -> list[bytes]:
    """Those that begin at `offset` or later, with their ends."""
    try:
        with path.open("rb") as log:
            log.seek(offset)
            data = log.read()
    except FileNotFoundError:
        # There is none before the first event.
        return []
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _decoded(line: bytes, path: Path, offset: int) -> _Event:
    """The event of a line. One that lost its end with the power has the next one behind it."""
    start = 0
    while start >= 0:
        try:
            return _decoder.decode(line[start:])
        except msgspec.MsgspecError:
            start = line.find(b'{"', start + 1)
    raise ServiceError(f"{path}: after byte {offset}: not an event of podman: {line[:200]!r}")
