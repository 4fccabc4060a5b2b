"""Killing an operator: proved by the exit code, and a toothless kill is not proved."""

import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from harness.checks.life import faults_bit, no_unexpected_exit
from harness.devices.tests.broker import DEADLINE_S, Broker
from harness.env import Foundation
from harness.faults import kill as kill_module
from harness.faults.fault import mend, strike
from harness.faults.kill import Kill
from harness.history import Fault, Process
from harness.services.operator import OperatorProcess

# Answers /recovery like an operator that has nothing to recover; with an argument it ignores SIGTERM.
ANSWERS = """
import http.server, os, signal, sys
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"phase": "Converged", "sources": {"x": {"seen": 1, "expected": 1, "current": true}}}')
    def log_message(self, *_):
        pass
host, _, port = os.environ["FLEET_HTTP_ADDR"].rpartition(":")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


class Operators:
    """Starts lives of something that answers as an operator does, and ends them all."""

    def __init__(self, foundation: Foundation, broker: Broker, folder: Path) -> None:
        self._foundation = foundation
        self._broker = broker
        self._folder = folder
        self.lives: list[OperatorProcess] = []

    async def start(self, *arguments: str, program: Sequence[str] = (sys.executable, "-c", ANSWERS)) -> OperatorProcess:
        operator = await OperatorProcess.start(
            [*program, *arguments],
            name=f"operator-{len(self.lives) + 1}",
            nats_url="",
            kubeconfig=self._folder / "none",
            namespace="none",
            folder=self._folder,
            warden=self._foundation.warden,
            recorder=self._broker.recorder,
        )
        self.lives.append(operator)
        return operator

    async def started(self, *arguments: str) -> OperatorProcess:
        operator = await self.start(*arguments)
        await operator.wait_answering(DEADLINE_S)
        return operator

    async def close(self) -> None:
        for life in self.lives:
            await life.close()
            await life.close()


@pytest.fixture
async def operators(foundation: Foundation, broker: Broker, tmp_path: Path) -> AsyncIterator[Operators]:
    operators = Operators(foundation, broker, tmp_path)
    yield operators
    await operators.close()


def events(broker: Broker) -> list[str]:
    return [fault.event for fault in broker.recorder.history().of(Fault)]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
async def test_killed_and_started_again(broker: Broker, operators: Operators, sig: signal.Signals) -> None:
    """Both halves are proved: the exit by that signal, and an answer of another process."""
    operator = await operators.started()
    kill = Kill(operator, operators.start, sig)
    await strike(kill, broker.recorder)
    assert not operator.process.running
    await mend(kill, broker.recorder)
    assert kill.successor is operators.lives[1]
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]
    history = broker.recorder.history()
    assert faults_bit(history).outcome == no_unexpected_exit(history).outcome == "pass"
    assert kill.name == sig.name.lower()


async def test_one_that_was_dead_already(broker: Broker, operators: Operators) -> None:
    """A crash before the kill leaves the kill unproved and is found as what it is."""
    operator = await operators.start(program=(sys.executable, "-c", "raise SystemExit(3)"))
    await operator.process.wait_exit(DEADLINE_S)
    await strike(Kill(operator, operators.start), broker.recorder)
    assert events(broker) == ["applied", "unproved"]
    history = broker.recorder.history()
    assert faults_bit(history).outcome == "inconclusive"
    assert no_unexpected_exit(history).outcome == "fail"


async def test_one_that_does_not_die(broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that is ignored was no kill."""
    monkeypatch.setattr(kill_module, "EXIT_WITHIN_S", 0.2)
    operator = await operators.started("stubborn")
    await strike(Kill(operator, operators.start, signal.SIGTERM), broker.recorder)
    assert events(broker) == ["applied", "unproved"]
    assert operator.process.running


async def test_a_successor_that_dies(broker: Broker, operators: Operators) -> None:
    """Nobody answers in its place: not healed, and a crash in the history."""

    async def dies() -> OperatorProcess:
        return await operators.start(program=(sys.executable, "-c", "raise SystemExit(3)"))

    kill = Kill(await operators.started(), dies)
    await strike(kill, broker.recorder)
    await mend(kill, broker.recorder)
    assert events(broker)[-2:] == ["healed", "unproved"]
    assert no_unexpected_exit(broker.recorder.history()).outcome == "fail"


async def test_an_answer_without_sense_is_no_answer(broker: Broker, operators: Operators) -> None:
    """Bytes that are no JSON, or no text, end no reader: the operator just did not answer yet."""
    nonsense = ANSWERS.replace("""b'{"phase": "Converged",""", """b'\\xff{"phase": "Converged",""")
    assert nonsense != ANSWERS
    operator = await operators.start(program=(sys.executable, "-c", nonsense))
    with pytest.raises(Exception, match="to answer /recovery"):
        await operator.wait_answering(0.5)
    assert not operator._reader.done()
    assert operator.recovery is None
    assert broker.recorder.history().of(Process)[-1].event == "spawned"
