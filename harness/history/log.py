"""A history on disk and in memory: append-only JSON lines, written as things happen, read back whole."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import HarnessError
from harness.history.records import Base, Mark, Meta, Record

FORMAT = 1
SIZE_BYTES_MAX = 1 << 30

R = TypeVar("R", bound=Base)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class HistoryError(HarnessError):
    """A stored history cannot be read."""


class History:
    """The records of one run, in order. Line numbers count from 1, as an editor does."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records: tuple[Record, ...] = tuple(records)

    @classmethod
    def read(cls, path: Path) -> "History":
        """Raises HistoryError naming the file and line that do not parse."""
        try:
            if path.stat().st_size > SIZE_BYTES_MAX:
                raise HistoryError(f"{path}: larger than {SIZE_BYTES_MAX} bytes, which no run writes")
            data = path.read_bytes()
        except OSError as e:
            raise HistoryError(f"{path}: cannot be read: {e.strerror}") from e
        records: list[Record] = []
        # A harness that was killed may have left a last line without its end: that one was never recorded.
        for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                records.append(_decoder.decode(line))
            except (msgspec.MsgspecError, ValueError) as e:
                raise HistoryError(f"{path}:{number}: not a history record: {e}") from e
        return cls(records)

    def numbered(self, kind: type[R], where: Callable[[R], bool] | None = None) -> Iterator[tuple[int, R]]:
        """(line number, record) of one kind, in order."""
        for number, record in enumerate(self.records, start=1):
            if isinstance(record, kind) and (where is None or where(record)):
                yield number, record

    def of(self, kind: type[R]) -> list[R]:
        return [record for _, record in self.numbered(kind)]

    def mark(self, name: str) -> tuple[int, Mark] | None:
        """The last mark of that name, with its line number."""
        found = list(self.numbered(Mark, lambda m: m.name == name))
        return found[-1] if found else None

    @property
    def meta(self) -> Meta:
        first = self.records[0] if self.records else None
        if not isinstance(first, Meta):
            raise HistoryError("the first line of a history is its meta record; this one has none")
        return first


class Recorder:
    """Appends records to a file and keeps them in memory. One recorder owns one file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._zero = clock()
        self._wall_zero = time.time()
        self._records: list[Record] = []
        # Told of each record as it is added, in the same turn of the loop.
        self.listeners: set[Callable[[Record], None]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")

    @property
    def now_s(self) -> float:
        """Seconds since this history began."""
        return round(self._clock() - self._zero, 6)

    @property
    def started_at(self) -> str:
        return datetime.fromtimestamp(self._wall_zero, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def at_wall(self, wall_s: float) -> float:
        """The history time of a Unix time stamped by a process of this machine."""
        return round(wall_s - self._wall_zero, 6)

    def add(self, record: Record) -> None:
        if self._file.closed:
            # A late observer (a pump that is being cancelled) has nobody left to tell.
            return
        self._records.append(record)
        self._file.write(_encoder.encode(record) + b"\n")
        # To the kernel, so that a SIGKILL of the harness loses nothing.
        self._file.flush()
        for listener in tuple(self.listeners):
            listener(record)

    @property
    def records(self) -> Sequence[Record]:
        """What was recorded so far."""
        return self._records

    def history(self) -> History:
        return History(self._records)

    def close(self) -> None:
        self._file.close()
