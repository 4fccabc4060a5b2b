"""The wait helper: value back, deadline kept, last error told."""

import asyncio
import contextlib

import pytest

from harness import wait
from harness.errors import WaitTimeout
from harness.wait import ticks, wait_event, wait_for


class NotYetError(Exception):
    """What a probe raises while the thing is not there."""


async def test_value_is_returned_as_soon_as_the_probe_has_one() -> None:
    """None means not yet; anything else, false values too, is the answer."""
    answers = iter([None, None, 0])
    assert await wait_for("a number", lambda: next(answers), deadline_s=5, interval_s=0) == 0


async def test_coroutine_probe_is_awaited() -> None:
    """A probe may be a coroutine function."""

    async def probe() -> str:
        await asyncio.sleep(0)
        return "here"

    assert await wait_for("it", probe, deadline_s=5) == "here"


async def test_timeout_names_what_when_and_the_last_error() -> None:
    """The message says what was awaited, how long, and what was seen last; the error is chained."""

    def probe() -> None:
        raise NotYetError("connection refused by 1.2.3.4")

    with pytest.raises(WaitTimeout) as caught:
        await wait_for("the server", probe, deadline_s=0.05, interval_s=0.01, expect=(NotYetError,))
    assert "waited 0.05 s for the server" in str(caught.value)
    assert "last seen: NotYetError: connection refused by 1.2.3.4" in str(caught.value)
    assert isinstance(caught.value.__cause__, NotYetError)


async def test_timeout_without_an_error_says_that_it_never_came() -> None:
    """With no error to show, the message still tells how often was asked."""
    with pytest.raises(WaitTimeout, match=r"waited 0\.02 s for rain; asked \d+ times, never there"):
        await wait_for("rain", lambda: None, deadline_s=0.02, interval_s=0.005)


async def test_unexpected_error_ends_the_wait_at_once() -> None:
    """Only the named types mean not yet."""
    calls = []

    def probe() -> None:
        calls.append(1)
        raise KeyError("broken probe")

    with pytest.raises(KeyError):
        await wait_for("it", probe, deadline_s=5, expect=(NotYetError,))
    assert len(calls) == 1


async def test_hanging_probe_is_cancelled_at_the_deadline() -> None:
    """A probe that never returns cannot outlast the deadline."""
    with pytest.raises(WaitTimeout, match=r"waited 0.05 s for a hung server"):
        await wait_for("a hung server", asyncio.Event().wait, deadline_s=0.05)


async def test_a_probe_that_swallows_its_cancellation_ends_the_wait_all_the_same() -> None:
    """The deadline cancels once: whoever loses that may not wait for ever."""
    calls = 0

    async def probe() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async with asyncio.timeout(5):
        with pytest.raises(WaitTimeout, match=r"waited 0\.02 s for rain; asked 1 times"):
            await wait_for("rain", probe, deadline_s=0.02)
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


async def test_the_probes_own_timeout_is_not_taken_for_the_deadline() -> None:
    """A TimeoutError that the caller did not expect passes through as it is."""

    def probe() -> None:
        raise TimeoutError("of a socket")

    with pytest.raises(TimeoutError, match="of a socket"):
        await wait_for("it", probe, deadline_s=5)


async def test_progress_is_told_while_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress lines come at their interval and name what is awaited."""
    monkeypatch.setattr(wait, "PROGRESS_EVERY_S", 0.0)
    told: list[str] = []
    answers = iter([None, True])
    await wait_for("the broker", lambda: next(answers), deadline_s=5, interval_s=0, progress=told.append)
    assert len(told) == 1
    assert "5 s: waiting for the broker" in told[0]


async def test_event_wait_has_a_deadline() -> None:
    """An event that does not come ends in WaitTimeout; one that does returns."""
    event = asyncio.Event()
    with pytest.raises(WaitTimeout, match=r"waited 0.01 s for the bell"):
        await wait_event("the bell", event, deadline_s=0.01)
    event.set()
    await wait_event("the bell", event, deadline_s=0.01)


async def test_ticks_begin_at_once() -> None:
    """The first tick needs no wait, whatever the interval."""
    async with asyncio.timeout(1):
        async for _ in ticks(1000):
            break


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a library does whose answer came at the same instant; one that fails on the way out ends, too."""
    monkeypatch.setattr(wait, "_CANCEL_AGAIN_S", 0.01)
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
    async with asyncio.timeout(5):
        await asyncio.wait(tasks, timeout=0.01)
        await wait.end_tasks(tasks)
    assert (cancelled, all(task.done() for task in tasks)) == (2, True)
