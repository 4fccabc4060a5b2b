"""`fleetproof demo` as a whole: what it proves, and what is left of it when it is not allowed to finish."""

import json
import signal
import sys
from pathlib import Path

import pytest

import scenarios
from harness.history import History, Op, Process, Recovery
from harness.services.estate import DEATHS_WITHIN_S
from harness.wait import wait_for
from scenarios.tests.commands import FLEETPROOF, Command, Footprint, run

STARTED = "starting the operator"
SETTLED = "every status is true"
KILLED = "SIGKILL: operator pid"
INTERRUPTED = "fleetproof: interrupted; everything that was started is gone"
SERVERS = {"etcd", "kube-apiserver", "toxiproxy-server", "nats-server", "harness.services.warden"}
AROUND_KILL_S = 0.1
# An orderly end takes under a second; a busy machine may be ten times slower.
ORDERLY_WITHIN_S = 20.0
START_WITHIN_S = 60.0


def started(footprint: Footprint) -> set[str]:
    """Which of the servers live: without them nobody could say that they are gone later."""
    commands = " ".join(footprint.processes().values())
    return {server for server in SERVERS if server in commands}


def operators(footprint: Footprint) -> int:
    """How many operators under test live."""
    return sum(command.endswith(" fleet operator") for command in footprint.processes().values())


@pytest.mark.parametrize(
    ("number", "line"), [(signal.SIGINT, KILLED), (signal.SIGTERM, STARTED)], ids=["ctrl-c", "sigterm"]
)
async def test_an_interrupted_demo_cleans_up(number: signal.Signals, line: str, footprint: Footprint) -> None:
    """Ctrl-C between kill and recovery, or SIGTERM during the start: one line, 130, nothing left."""
    demo = await Command.start([*FLEETPROOF, "demo"], footprint)
    await demo.wait_line(line)
    assert started(footprint) == SERVERS
    demo.interrupt(number)
    ended = await demo.end(deadline_s=ORDERLY_WITHIN_S)
    assert footprint.left() == []
    assert ended.code == 130
    assert ended.err == [INTERRUPTED]
    assert not any("pass" in line.lower() for line in ended.out)


async def test_a_killed_demo_is_cleared_and_the_next_one_proves_it(footprint: Footprint) -> None:
    """SIGKILL of the harness leaves nothing; a second demo starts at once, in the same folder, and passes in full.

    It passes with exit code 0, says where its report is, and its history bears out what it says: at least 200 reports
    a second acknowledged, up to the kill and on from it, and Converged in under 30 s.
    """
    killed = await Command.start([*FLEETPROOF, "demo"], footprint)
    await killed.wait_line(STARTED)
    await wait_for("an operator", lambda: operators(footprint) or None, deadline_s=START_WITHIN_S)
    assert started(footprint) == SERVERS
    killed.interrupt(signal.SIGKILL)
    assert (await killed.end()).code == -signal.SIGKILL
    await footprint.wait_nothing_left(DEATHS_WITHIN_S)

    ended = await run([*FLEETPROOF, "demo", "--json"], footprint)
    assert ended.code == 0, ended.text
    (cleared,) = (line for line in ended.err if "an earlier run" in line)
    assert f"(pid {killed.pid}, " in cleared
    assert "was killed; its warden cleared" in cleared
    for told in ("looking for the real servers", STARTED, SETTLED, KILLED, "has converged", "judging"):
        assert any(told in line for line in ended.err), told
    assert "\x1b" not in ended.text
    assert footprint.left() == []

    answer = json.loads("\n".join(ended.out))
    assert answer["outcome"] == "pass"
    assert answer["headline"].startswith("Recovered ")
    report = Path(answer["report"])
    require_load_through_the_kill(history_beside(report))


def history_beside(report: Path) -> History:
    """The report is there, tells of the kill, and the history it was drawn from is beside it."""
    assert "SIGKILL" in report.read_text()
    (path,) = report.parent.glob("demo-*/history.jsonl")
    return History.read(path)


def require_load_through_the_kill(history: History) -> None:
    """Read from the records alone, past the checks that judged them."""
    (kill_s,) = (p.at_s for p in history.of(Process) if p.name == "operator-1" and p.signal == "SIGKILL")
    start, end = history.mark("load"), history.mark("load-end")
    assert start is not None
    assert end is not None
    acknowledged = [op.at_s for op in history.of(Op) if op.outcome == "ok" and start[1].at_s <= op.at_s <= end[1].at_s]
    assert len(acknowledged) / (end[1].at_s - start[1].at_s) >= 200.0
    assert [at for at in acknowledged if kill_s - AROUND_KILL_S <= at < kill_s]
    assert [at for at in acknowledged if kill_s < at <= kill_s + AROUND_KILL_S]
    (spawned_s,) = (p.at_s for p in history.of(Process) if p.name == "operator-2" and p.event == "spawned")
    assert kill_s < spawned_s
    converged = [r.at_s for r in history.of(Recovery) if r.process == "operator-2" and r.phase == "Converged"]
    assert 0 < min(converged) - kill_s < 30.0


async def test_ctrl_c_to_a_parallel_test_run_cleans_up(footprint: Footprint, tmp_path: Path) -> None:
    """Ctrl-C reaches pytest and both of its workers in the middle of a case: all that they started is gone."""
    scenarios_folder = Path(scenarios.__file__).parent
    session = await Command.start(
        [
            *(sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}"),
            *(str(scenarios_folder), f"--ignore={scenarios_folder / 'tests'}"),
            *("--sound-only", "--shape=missing-buckets"),
        ],
        footprint,
        # There the settings of pytest are.
        cwd=scenarios_folder.parent,
    )

    def one_each() -> bool | None:
        return True if operators(footprint) == 2 else None

    await wait_for("an operator in each worker", one_each, deadline_s=START_WITHIN_S)
    assert started(footprint) == SERVERS
    session.interrupt(signal.SIGINT)
    ended = await session.end(deadline_s=ORDERLY_WITHIN_S)
    assert ended.code == pytest.ExitCode.INTERRUPTED
    assert any("KeyboardInterrupt" in line for line in ended.out)
    await footprint.wait_nothing_left(DEATHS_WITHIN_S)


async def test_sigterm_to_a_run_cleans_up(footprint: Footprint) -> None:
    """SIGTERM to `fleetproof run` in the middle of a case: one line, 130, nothing left."""
    command = await Command.start([*FLEETPROOF, "run", "missing-buckets"], footprint)

    await wait_for("an operator", lambda: operators(footprint) or None, deadline_s=START_WITHIN_S)
    assert started(footprint) == SERVERS
    command.interrupt(signal.SIGTERM)
    ended = await command.end(deadline_s=ORDERLY_WITHIN_S)
    assert footprint.left() == []
    assert (ended.code, ended.err) == (130, [INTERRUPTED])
