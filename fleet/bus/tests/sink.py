"""Where the replicas of these tests bring their news."""

import asyncio
from collections.abc import Callable

import pytest

from fleet.bus.entry import Entries, Entry
from fleet.bus.replica import StreamFacts
from fleet.bus.tests.servers import DEADLINE_S
from fleet.wire import Bucket, stream_name

BUCKET = Bucket.DEVICE_STATE
STREAM = stream_name(BUCKET)


def brief(entry: Entry) -> tuple[str, int, bytes | None]:
    """Without the time, which the broker alone knows."""
    return entry.key, entry.revision, entry.value


class Sink:
    """Writes down what it is told; `until` waits for it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.values: dict[str, bytes | None] = {}
        self.told: list[Entry] = []
        self.expected: int | None = None
        self.facts: list[StreamFacts] = []
        self.on_entry: Callable[[Entry], None] = lambda _: None
        self._news = asyncio.Event()

    def replay_started(self) -> None:
        self._note("replay_started")

    def opened(self, facts: StreamFacts) -> None:
        self.facts.append(facts)

    def expecting(self, count: int) -> None:
        self.expected = count

    def entries(self, entries: Entries) -> None:
        for entry in entries:
            self.on_entry(entry)
            self.told.append(entry)
            self.values[entry.key] = entry.value
        self._news.set()

    def replayed(self) -> None:
        self._note("replayed")

    def lost(self, reason: str) -> None:
        self._note(f"lost: {reason}")

    def _note(self, line: str) -> None:
        self.log.append(line)
        self._news.set()

    @property
    def replays(self) -> int:
        return self.log.count("replayed")

    @property
    def losses(self) -> list[str]:
        return [line for line in self.log if line.startswith("lost: ")]

    async def until(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"not within {deadline_s:g} s: {self.log}, {len(self.values)} values")
