"""The one place that waits by polling. Everything else waits for an event, or calls this.

Every wait has a deadline, returns what it waited for, says what it is doing while it takes long, and
when it fails tells what it saw last.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar, overload

from harness.errors import WaitTimeout

T = TypeVar("T")

PROGRESS_EVERY_S = 3.0
_CANCEL_AGAIN_S = 0.5
_LAST_SEEN_CHARS_MAX = 300


async def ticks(interval_s: float) -> AsyncIterator[None]:
    """Yields at once and then after each interval, for readers of things that give no event.

    The caller ends it (break, cancellation); it has no deadline of its own.
    """
    while True:
        yield
        await asyncio.sleep(interval_s)


@overload
async def wait_for(
    what: str,
    probe: Callable[[], Awaitable[T | None]],
    *,
    deadline_s: float,
    interval_s: float = 0.02,
    expect: tuple[type[Exception], ...] = (),
    progress: Callable[[str], None] | None = None,
) -> T: ...


@overload
async def wait_for(
    what: str,
    probe: Callable[[], T | None],
    *,
    deadline_s: float,
    interval_s: float = 0.02,
    expect: tuple[type[Exception], ...] = (),
    progress: Callable[[str], None] | None = None,
) -> T: ...


async def wait_for(
    what: str,
    probe: Callable[[], Awaitable[T | None]] | Callable[[], T | None],
    *,
    deadline_s: float,
    interval_s: float = 0.02,
    expect: tuple[type[Exception], ...] = (),
    progress: Callable[[str], None] | None = None,
) -> T:
    """Call `probe` until it returns something other than None, and return that.

    Args:
        what: ends the sentence "waited for ..."; stands in the error and in progress lines.
        probe: a function or coroutine function. None means "not yet". A probe that hangs is cancelled
            at the deadline.
        deadline_s: from now, for the whole wait. The probe runs at least once.
        interval_s: pause between two calls.
        expect: exception types that also mean "not yet"; the last one is chained to the error.
        progress: is told every few seconds what is still awaited.

    Raises:
        WaitTimeout: at the deadline, with the last error that was seen.
    """
    started = time.monotonic()
    told = started
    last_error: Exception | None = None
    calls = 0
    limit = asyncio.timeout(deadline_s)
    try:
        async with limit:
            while True:
                calls += 1
                try:
                    result = probe()
                    value = await result if inspect.isawaitable(result) else result
                except expect as e:
                    last_error = e
                else:
                    if value is not None:
                        return value
                    last_error = None
                if limit.expired():
                    # On Python 3.11 an `asyncio.wait_for` inside a library swallows a cancellation that comes together
                    # with its answer, and the deadline cancels but once.
                    raise TimeoutError  # noqa: TRY301 - as the deadline itself does
                now = time.monotonic()
                if progress is not None and now - told >= PROGRESS_EVERY_S:
                    told = now
                    progress(f"{now - started:.0f} s of {deadline_s:g} s: waiting for {what}{_seen(last_error)}")
                await asyncio.sleep(interval_s)
    except TimeoutError as e:
        if not limit.expired():
            # The probe's own time-out, which the caller did not expect.
            raise
        raise WaitTimeout(
            f"waited {deadline_s:g} s for {what}; asked {calls} times{_seen(last_error) or ', never there'}"
        ) from (last_error or e)


async def wait_event(what: str, event: asyncio.Event, *, deadline_s: float) -> None:
    """Wait for an event; WaitTimeout names it at the deadline."""
    try:
        async with asyncio.timeout(deadline_s):
            await event.wait()
    except TimeoutError as e:
        raise WaitTimeout(f"waited {deadline_s:g} s for {what}, which did not happen") from e


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended. What they raise is not told again.

    More than once, since on Python 3.11 an `asyncio.wait_for` inside a library swallows a cancellation that comes
    together with its answer.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()


def _seen(error: Exception | None) -> str:
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}"
    return f", last seen: {text[:_LAST_SEEN_CHARS_MAX]}"
