"""A sink that writes down what it is told of a list and its watch."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from fleet.kube.informer import Informer
from fleet.kube.objects import Device

DEADLINE_S = 10.0


class Sink:
    """Writes down what it is told; `until` waits for it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.items: dict[str, Device] = {}
        self.expected: list[int] = []
        self._news = asyncio.Event()

    def note(self, line: str) -> None:
        self.log.append(line)
        self._news.set()

    def replay_started(self) -> None:
        self.note("replay_started")

    def expecting(self, count: int) -> None:
        self.expected.append(count)

    def listed(self, items: Sequence[Device]) -> None:
        for item in items:
            self.upsert(item)

    def upsert(self, item: Device) -> None:
        self.items[item.name] = item
        self.note(f"+{item.name}@{item.resource_version}")

    def removed(self, name: str) -> None:
        self.items.pop(name, None)
        self.note(f"-{name}")

    def malformed(self, name: str, reason: str) -> None:
        assert "\n" not in reason
        self.note(f"?{name}")

    def replayed(self) -> None:
        self.note("replayed")

    def lost(self, reason: str) -> None:
        self.note(f"lost: {reason}")

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
            pytest.fail(f"not within {deadline_s:g} s: {self.log[-20:]}")

    async def until_said(self, line: str, times: int = 1) -> None:
        await self.until(lambda: self.log.count(line) >= times)


Start = Callable[[], None]
Following = Callable[[], Informer[Device]]
