"""Stopping a process and letting it go on: proved by the kernel and by answers; a toothless stop is not proved."""

import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.checks.life import faults_bit, no_unexpected_exit
from harness.devices.tests.broker import DEADLINE_S, Broker
from harness.env import Foundation
from harness.errors import ServiceError
from harness.faults import stop as stop_module
from harness.faults.fault import mend, strike
from harness.faults.stop import Stop
from harness.faults.tests.test_kill import Operators, events
from harness.services import procfs
from harness.services.process import ManagedProcess


@pytest.fixture
async def operators(foundation: Foundation, broker: Broker, tmp_path: Path) -> AsyncIterator[Operators]:
    operators = Operators(foundation, broker, tmp_path)
    yield operators
    await operators.close()


async def test_stopped_and_continued(broker: Broker, operators: Operators) -> None:
    """It answers nothing while it stands, and again afterwards, as often as that is done; that is no exit."""
    operator = await operators.started()
    stop = Stop(operator)
    for _ in range(2):
        await strike(stop, broker.recorder)
        state = procfs.process_state(operator.process.pid)
        assert state is not None
        assert state.state == "T"
        with pytest.raises(ServiceError, match="does not answer"):
            await operator.get("/recovery")
        await mend(stop, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"] * 2
    history = broker.recorder.history()
    assert faults_bit(history).outcome == no_unexpected_exit(history).outcome == "pass"
    assert stop.target == "operator-1"


async def test_a_stop_that_did_nothing(broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that never came is no stop."""

    def nothing(_: ManagedProcess, __: signal.Signals) -> None:
        pass

    monkeypatch.setattr(stop_module, "SEEN_WITHIN_S", 0.1)
    stop = Stop(await operators.started())
    with monkeypatch.context() as patched:
        patched.setattr(ManagedProcess, "signal", nothing)
        await strike(stop, broker.recorder)
    assert events(broker) == ["applied", "unproved"]


async def test_one_that_is_left_standing(broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal that did not reach it is no heal."""

    def nothing(_: ManagedProcess, __: signal.Signals) -> None:
        pass

    monkeypatch.setattr(stop_module, "SEEN_WITHIN_S", 0.1)
    stop = Stop(await operators.started())
    await strike(stop, broker.recorder)
    monkeypatch.setattr(ManagedProcess, "signal", nothing)
    await mend(stop, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "unproved"]


async def test_one_that_has_ended(broker: Broker, operators: Operators) -> None:
    """Nobody can be stopped who is dead; that he died is found by its own check."""
    operator = await operators.start(program=(sys.executable, "-c", "raise SystemExit(3)"))
    await operator.process.wait_exit(DEADLINE_S)
    stop = Stop(operator)
    await strike(stop, broker.recorder)
    await mend(stop, broker.recorder)
    assert events(broker) == ["applied", "unproved", "healed", "unproved"]
    assert no_unexpected_exit(broker.recorder.history()).outcome == "fail"
