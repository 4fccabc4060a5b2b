"""Asks one operator's /readyz again and again, every few milliseconds, so that the history has when it said no.

An operator that ends is unready for a moment only; the usual reader of /recovery would often miss it.
"""

import asyncio
from typing import Self

import aiohttp

from harness.history import Readiness, Recorder
from harness.services.operator import OperatorProcess
from harness.wait import end_tasks, ticks

ASK_EVERY_S = 0.003
ANSWER_WITHIN_S = 2.0
_TEXT_CHARS_MAX = 200


class ReadinessObserver:
    """A task of its own, from `start` until the process is gone or it is closed."""

    def __init__(self, operator: OperatorProcess, recorder: Recorder) -> None:
        self._operator = operator
        self._recorder = recorder
        self._last: tuple[int, str] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Self:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"readiness of {self._operator.process.name}")
        return self

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Idempotent. Raises what ended it early, if something did."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.done():
            task.result()
        await end_tasks({task})

    async def _follow(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async for _ in ticks(ASK_EVERY_S):
                try:
                    async with session.get(f"{self._operator.url}/readyz") as answer:
                        status, text = answer.status, await answer.text(errors="replace")
                except (aiohttp.ClientError, TimeoutError):
                    status, text = 0, ""
                if (status, text) != self._last:
                    self._last = (status, text)
                    self._note(status, text)
                if not self._operator.process.running:
                    return

    def _note(self, status: int, text: str) -> None:
        at_s, name = self._recorder.now_s, self._operator.process.name
        self._recorder.add(Readiness(at_s=at_s, process=name, status=status, text=text[:_TEXT_CHARS_MAX]))
