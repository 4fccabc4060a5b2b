"""One life: loops that end end the process, readiness first; start-up is bounded and can be stopped."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from fleet.errors import PeerAway, PeerRefused, crash_line
from fleet.operator.main import Loop, Operator
from fleet.operator.tests.turns import Clock, turn
from fleet.settings import OperatorSettings

DEADLINE_S = 5.0


class Rigged(Operator):
    """An operator whose start-up is the test's."""

    loops: Mapping[str, Loop]

    async def _start(self, stack: AsyncExitStack) -> Mapping[str, Loop]:
        stack.callback(self.at_close)
        return self.loops

    def at_close(self) -> None:
        """Note what readiness said when the process was about to end."""
        self.problem_at_close = self.health.problem


@pytest.fixture
def operator() -> Rigged:
    return Rigged(
        OperatorSettings(
            nats_url="nats://127.0.0.1:1",
            kubeconfig=None,
            namespace="ns",
            http_host="127.0.0.1",
            http_port=0,
            start_timeout_s=0.05,
        )
    )


@pytest.fixture(autouse=True)
async def handlers_given_back() -> AsyncIterator[None]:
    """An operator leaves signals and the exception handler of its loop as it found them."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    after = loop.get_exception_handler(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert after[0] is before[0]
    assert after[1] is before[1]


async def forever() -> None:
    await asyncio.Event().wait()


async def end() -> None:
    return


async def crash() -> None:
    raise ExceptionGroup("unhandled errors in a TaskGroup", [ZeroDivisionError("folded wrong")])


async def cancelled_from_inside() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.rule("P1")
@pytest.mark.parametrize(
    ("loop", "kind", "problem"),
    [
        (crash, ZeroDivisionError, "a crashed: ZeroDivisionError: folded wrong"),
        (end, RuntimeError, "a crashed: RuntimeError: a ended by itself"),
        (cancelled_from_inside, RuntimeError, "a crashed: RuntimeError: a was cancelled from inside"),
    ],
)
async def test_a_loop_that_ends_ends_the_process(
    operator: Rigged, loop: Loop, kind: type[Exception], problem: str
) -> None:
    """However a loop ends, the others end too, and readiness knew it before the HTTP face was closed."""
    operator.loops = {"a": loop, "b": forever}
    with pytest.raises(ExceptionGroup) as end_of_life, capture_logs() as logs:
        async with asyncio.timeout(DEADLINE_S):
            await operator.run()
    assert end_of_life.group_contains(kind)
    assert operator.problem_at_close == problem
    assert [(line["loop"], line["reason"]) for line in logs if line["event"] == "crashed"] == [("a", problem)]


@pytest.mark.rule("P3")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_good_order(operator: Rigged, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end every loop and return; nothing is raised, and it is not ready meanwhile."""

    async def ask() -> None:
        os.kill(os.getpid(), number)
        await forever()

    operator.loops = {"ask": ask, "stop": operator._stopped}
    async with asyncio.timeout(DEADLINE_S):
        await operator.run()
    assert operator.problem_at_close == "stopping"


async def test_a_signal_during_start_up_ends_it(operator: Rigged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that waits for a peer is given up; what it had opened by then is closed."""
    closed: list[str] = []

    async def waits(stack: AsyncExitStack) -> Mapping[str, Loop]:
        stack.callback(closed.append, "face")
        os.kill(os.getpid(), signal.SIGTERM)
        await forever()
        return {}

    monkeypatch.setattr(operator, "_start", waits)
    async with asyncio.timeout(DEADLINE_S):
        await operator.run()
    assert closed == ["face"]


async def test_a_start_that_fails_raises_its_own_error(operator: Rigged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting reaches the command line as it is, and not inside a group."""

    async def refuses(_: AsyncExitStack) -> Mapping[str, Loop]:
        raise PeerRefused("not you")

    monkeypatch.setattr(operator, "_start", refuses)
    with pytest.raises(PeerRefused, match="not you"):
        await operator.run()


@pytest.mark.rule("P3")
async def test_an_orderly_end_waits_for_what_is_under_way(operator: Rigged) -> None:
    """Readiness goes first; then what has begun is finished; then the loops end."""
    seen: list[str | None] = []

    async def finish() -> None:
        await turn()
        seen.append(operator.health.problem)

    async def ask() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await forever()
        finally:
            seen.append("cancelled")

    operator._finish = finish
    operator.loops = {"ask": ask, "stop": operator._stopped}
    async with asyncio.timeout(DEADLINE_S):
        await operator.run()
    assert seen == ["stopping", "cancelled"]


@pytest.mark.rule("P3")
async def test_an_orderly_end_takes_three_seconds_at_most(operator: Rigged, clock: Clock) -> None:
    """A peer that does not answer does not keep the process: it says so, and goes all the same."""
    operator._finish = forever
    operator.loops = {"a": forever, "stop": operator._stopped}
    with capture_logs() as logs:
        life = asyncio.create_task(operator.run())
        await turn()
        operator._stop.set()
        await turn()
        assert operator.health.problem == "stopping"
        await clock.go_on(2.5)
        assert not life.done()
        await clock.go_on(0.6)
        assert life.done()
        await life
    assert "stopped_in_the_middle" in [line["event"] for line in logs]


async def test_a_connection_closed_for_good_ends_the_process(operator: Rigged) -> None:
    """The client library gave up: nobody would ever come back, so the process does not stay."""
    operator._links._error("'Unknown Protocol Operation'")
    operator._links._closed.set()
    operator.loops = {"nats": operator._links.closed_for_good, "b": forever}
    with pytest.raises(ExceptionGroup) as end_of_life:
        async with asyncio.timeout(DEADLINE_S):
            await operator.run()
    assert end_of_life.group_contains(PeerAway, match="NATS closed the connection for good: 'Unknown Protocol Oper")


async def test_what_a_callback_raises_is_logged(operator: Rigged) -> None:
    """An exception that belongs to no loop is not swallowed."""
    told = asyncio.Event()

    async def call_back() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: 1 // 0)
        loop.call_soon(told.set)
        await told.wait()
        operator._stop.set()
        await forever()

    operator.loops = {"a": call_back, "stop": operator._stopped}
    with capture_logs() as logs:
        async with asyncio.timeout(DEADLINE_S):
            await operator.run()
    (line,) = [line for line in logs if line["event"] == "unhandled"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


def test_the_line_of_a_crash() -> None:
    """The first exception inside nested groups, on one line."""
    nested = ExceptionGroup("g", [ExceptionGroup("g", [KeyError("x\ny"), ValueError()])])
    assert crash_line(nested) == "KeyError: 'x\\ny'"
    assert crash_line(ValueError("two\nlines")) == "ValueError: two lines"
