"""Out of memory, and the n-th system call: proved by the exit and by whoever did it; toothless ones are not proved."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.checks.life import faults_bit, no_unexpected_exit
from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.faults import out_of_memory, syscall
from harness.faults.fault import Fault, mend, strike
from harness.faults.out_of_memory import OutOfMemory
from harness.faults.syscall import FailCall, KillAtCall
from harness.faults.tests.links import PROVED, proved_without_teeth, struck
from harness.faults.tests.test_kill import Operators
from harness.history import Fault as FaultRecord
from harness.services import tracer
from harness.services.operator import OperatorProcess

# An operator that answers /recovery makes a few of them for each answer.
CALL = "sendto"
needs_memory = pytest.mark.needs(out_of_memory.CAPABILITY)
needs_strace = pytest.mark.needs(syscall.CAPABILITY)


@pytest.fixture
async def operators(foundation: Foundation, broker: Broker, tmp_path: Path) -> AsyncIterator[Operators]:
    operators = Operators(foundation, broker, tmp_path)
    yield operators
    await operators.close()


def deaths(operator: OperatorProcess, operators: Operators, foundation: Foundation) -> dict[str, Fault]:
    return {
        "out-of-memory": OutOfMemory(operator, operators.start, foundation.warden),
        "kill-at-call": KillAtCall(operator, CALL, 3, restart=operators.start, warden=foundation.warden),
    }


@pytest.mark.parametrize(
    "name",
    [pytest.param("out-of-memory", marks=needs_memory), pytest.param("kill-at-call", marks=needs_strace)],
)
async def test_dies_and_is_started_again(
    foundation: Foundation, broker: Broker, operators: Operators, name: str
) -> None:
    """An exit that was caused is no crash, and its cause is proved; nothing is left of what caused it."""
    operator = await operators.started()
    fault = deaths(operator, operators, foundation)[name]
    assert await struck(broker, fault) == PROVED
    await fault.close()
    await fault.close()
    assert len(operators.lives) == 2
    history = broker.recorder.history()
    assert faults_bit(history).outcome == no_unexpected_exit(history).outcome == "pass"
    assert not foundation.warden.registered_things
    assert fault.name == name


@pytest.mark.parametrize(
    "name",
    [pytest.param("out-of-memory", marks=needs_memory), pytest.param("kill-at-call", marks=needs_strace)],
)
async def test_a_death_without_teeth(foundation: Foundation, broker: Broker, operators: Operators, name: str) -> None:
    """One that lives on did not die of it."""
    fault = deaths(await operators.started(), operators, foundation)[name]
    assert not await proved_without_teeth(broker, fault)


@needs_memory
async def test_killed_by_somebody_else(foundation: Foundation, broker: Broker, operators: Operators) -> None:
    """SIGKILL alone proves no want of memory: the kernel counts those."""
    operator = await operators.started()
    fault = OutOfMemory(operator, operators.start, foundation.warden)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.services.memory_group.MemoryGroup.take_in", lambda _, pid: os.kill(pid, 9))
        await strike(fault, broker.recorder)
    await fault.close()
    assert "the kernel counts no kill" in broker.recorder.history().of(FaultRecord)[-1].detail


@needs_memory
async def test_a_group_does_not_outlive_its_fault(foundation: Foundation, broker: Broker, operators: Operators) -> None:
    """Closed without a heal, the control group is gone."""
    fault = OutOfMemory(await operators.started(), operators.start, foundation.warden)
    await strike(fault, broker.recorder)
    assert len(foundation.warden.registered_things) == 1
    await fault.close()
    assert not foundation.warden.registered_things


@needs_strace
async def test_a_call_fails_and_succeeds_again(foundation: Foundation, broker: Broker, operators: Operators) -> None:
    """The program sees the errno, strace says so; afterwards the process is nobody's and answers."""
    operator = await operators.started()
    fault = FailCall(operator, CALL, errno.errorcode[errno.ENOBUFS], onwards=True, warden=foundation.warden)
    await strike(fault, broker.recorder)
    assert "ENOBUFS" in broker.recorder.history().of(FaultRecord)[-1].detail
    await mend(fault, broker.recorder)
    assert [record.event for record in broker.recorder.history().of(FaultRecord)] == PROVED
    assert (await operator.get("/recovery"))[0] == 200


@needs_strace
async def test_a_call_that_does_not_fail(
    foundation: Foundation, broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call never comes, or strace is not there: not proved."""
    monkeypatch.setattr(tracer, "_SEEN_WITHIN_S", 0.3)
    operator = await operators.started()
    fault = FailCall(operator, "rename", "ENOSPC", warden=foundation.warden)
    await strike(fault, broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"
    await fault.close()
    assert not await proved_without_teeth(broker, FailCall(operator, CALL, "EIO", warden=foundation.warden))


@needs_strace
async def test_a_trace_that_stays(
    foundation: Foundation, broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heal that did not detach is no heal."""

    async def nothing(_: tracer.Tracer) -> None:
        pass

    fault = FailCall(await operators.started(), CALL, "ENOBUFS", warden=foundation.warden)
    await strike(fault, broker.recorder)
    with monkeypatch.context() as patched:
        patched.setattr(tracer.Tracer, "close", nothing)
        await mend(fault, broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"
    await fault.close()
