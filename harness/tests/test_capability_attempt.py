"""A probe's command is bounded, says all that it has to say, and does not live on."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from harness.capability import (
    Reason,
)
from harness.capability.attempt import Ended, Obstacle, run
from harness.services import procfs
from harness.tests.probed import FakeProgram
from harness.wait import wait_for


def test_hanging_command_ends_at_its_deadline_with_its_children(fake: FakeProgram, mark: str) -> None:
    """A command that never ends is no-answer, and neither it nor its child lives on."""
    fake("hang", "/bin/sleep 600 & /bin/sleep 600")
    with pytest.raises(Obstacle, match=r"no-answer: hang did not end within 0\.5 s"):
        run(["hang"], deadline_s=0.5)
    assert procfs.with_environment(mark) == []


async def test_command_does_not_outlive_a_killed_harness(mark: str) -> None:
    """SIGKILL of the probing process ends the command too."""
    code = "from harness.capability.attempt import run; run(['sleep', '600'], deadline_s=600)"
    harness = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    # Itself, the guard, the command.
    await wait_for("three processes", lambda: len(procfs.with_environment(mark)) == 3 or None, deadline_s=20)
    harness.send_signal(signal.SIGKILL)
    await harness.wait()
    await wait_for("none of them", lambda: not procfs.with_environment(mark) or None, deadline_s=20)


def test_ended_command_gives_its_code_and_all_it_said(fake: FakeProgram) -> None:
    """Exit code, stdout and stderr come back; a signal is 128 + its number."""
    fake("say", "echo out; echo err >&2; exit 3")
    fake("die", "kill -TERM $$")
    assert run(["say"], deadline_s=10) == Ended("say", 3, "out\nerr")
    assert run(["die"], deadline_s=10).code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("unshare: unshare failed: Operation not permitted", Reason.NOT_PERMITTED),
        ("warning: x\ndial unix /run/docker.sock: connect: permission denied", Reason.NOT_PERMITTED),
        ("Cannot connect to the Docker daemon at unix:///run/docker.sock.", Reason.NOT_RUNNING),
        ("error: Failed to connect socket to '/run/libvirt/libvirt-sock': No such file", Reason.NOT_RUNNING),
        ("segmentation fault", Reason.DOES_NOT_WORK),
        ("", Reason.DOES_NOT_WORK),
    ],
)
def test_reason_is_read_from_what_a_program_says(said: str, reason: Reason) -> None:
    """A refusal has the type that its text gives away, and quotes the last line."""
    refusal = Ended("tool", 1, said).refusal()
    assert refusal.reason is reason
    assert refusal.detail.endswith(said.splitlines()[-1] if said else "it said nothing")


def test_start_failure_is_an_answer(fake: FakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """If not even the guard can be started, that is does-not-work and no descriptor is lost."""
    fake("tool", "exit 0")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Obstacle, match="does-not-work: tool could not start: No such file"):
        run(["tool"], deadline_s=10)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
