"""Loops of a process as generators: each `yield` is a point where anything else may happen first.

A generator yields what it waits for, a function that says whether it is there: an answer, a time, a signal.
"""

import random
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from fleet.errors import PeerAway, PeerError

T = TypeVar("T")
Wait = Callable[[], bool]
Steps = Generator[Wait, None, T]


def turn() -> bool:
    """Wait for nothing but the others."""
    return True


class Request(Generic[T]):
    """On its way to a server, then its answer on the way back; either can get lost, and the process can die."""

    def __init__(self, act: Callable[[], T]) -> None:
        self._act = act
        self._result: T | None = None
        self._error: PeerError | None = None
        self.arrived = False
        self.answered = False

    def is_answered(self) -> bool:
        return self.answered

    def arrive(self) -> None:
        """Take effect."""
        self.arrived = True
        try:
            self._result = self._act()
        except PeerError as e:
            self._error = e

    def lose(self) -> None:
        """Nobody knows whether it took effect."""
        self._error = PeerAway("no answer")
        self.arrived = self.answered = True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value] # set by then, or None is what it returned


class Network:
    """Every request under way, in no order."""

    def __init__(self, chance: random.Random, loss: float) -> None:
        self.under_way: list[Request[object]] = []
        self.loss = loss
        self._chance = chance

    def send(self, act: Callable[[], T]) -> "Steps[T]":
        """To be waited for with `yield from`. Raises PeerError."""
        request: Request[T] = Request(act)
        self.under_way.append(request)  # type: ignore[arg-type] # nobody looks into the results here
        yield request.is_answered
        return request.result()

    def step(self) -> None:
        """One request arrives, or one answer."""
        if not self.under_way:
            return
        at = self._chance.randrange(len(self.under_way))
        request = self.under_way[at]
        if self.loss and self._chance.random() < self.loss:
            request.lose()
        elif request.arrived:
            request.answered = True
        else:
            request.arrive()
            return
        self.under_way[at] = self.under_way[-1]
        self.under_way.pop()


class Task:
    """A generator and what it waits for."""

    def __init__(self, steps: Steps[object]) -> None:
        self._steps = steps
        self._wait: Wait = turn
        self.over = False

    def step(self) -> bool:
        """Go on if what it waits for is there; whether it did."""
        if self.over or not self._wait():
            return False
        try:
            self._wait = next(self._steps)
        except StopIteration:
            self.over = True
        return True

    def is_ready(self) -> bool:
        return not self.over and self._wait()


def together(chance: random.Random, jobs: Sequence[Steps[bool]]) -> Steps[None]:
    """All at once, in any order, as `bounded` does it."""
    tasks = [Task(job) for job in jobs]
    while tasks:
        ready = [task for task in tasks if task.is_ready()]
        if not ready:
            waiting = list(tasks)
            yield lambda: any(task.is_ready() for task in waiting)  # noqa: B023 - asked only before it is bound anew
            continue
        task = chance.choice(ready)
        task.step()
        if task.over:
            tasks.remove(task)
        yield turn
