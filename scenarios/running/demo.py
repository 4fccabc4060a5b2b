"""The demonstration: an operator is killed under write load, and its recovery is judged from what was recorded."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from harness.artefacts import RunFolder, runs_folder
from harness.checks.judge import Judgement
from harness.checks.life import (
    converged_in_time,
    faults_bit,
    load_sustained,
    no_unexpected_exit,
    operator_worked,
)
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.devices.load import WriteLoad
from harness.env import Environment, Foundation
from harness.env.foundation import NEEDED
from harness.env.product import Product
from harness.env.recording import recording
from harness.errors import HarnessError
from harness.faults.fault import mend, strike
from harness.faults.kill import Kill
from harness.history import Op, SourceProgress
from harness.toolchain import Toolchain
from harness.wait import wait_for
from reports.html import write_report
from reports.results import REPORT_FILE, CaseRecord, load_run, write_result
from scenarios.cases import still_judged
from scenarios.running.summary import Summary, summarise
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, Size, start_settled, wait_status_true

SIZE = Size(devices=200, deployments=20)
# Asked of the devices; the verdict needs `ACKNOWLEDGED_PER_S_MIN` of them acknowledged.
RATE_PER_S = 320.0
ACKNOWLEDGED_PER_S_MIN = 200.0
LOAD_BEFORE_S = 3.0
LOAD_AFTER_S = 4.0
NAME = "demo"
CASE = f"{SIZE.devices}x{SIZE.deployments}"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    summary: Summary
    judgement: Judgement
    report: Path


def demonstrate(runs: Path | None, console: Console) -> DemoResult:
    """Set everything up, run the demo, and leave nothing but the run's folder. Raises HarnessError."""
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}")

    say("looking for the real servers (built from pinned sources the first time: about five minutes)")
    binaries = Toolchain().ensure_all(NEEDED)
    folder = runs_folder(runs, environ=os.environ, cwd=Path.cwd())
    with RunFolder.create(folder, started=datetime.now(UTC)) as run:
        command = (sys.executable, "-m", "fleet", "operator")
        return asyncio.run(run_demo(binaries, run.path, run.case(NAME), command, say))


async def run_demo(
    binaries: Mapping[str, Path], run_folder: Path, case_folder: Path, command: Sequence[str], say: Say
) -> DemoResult:
    """Everything from the first process to the written report. What was started is gone when this returns or raises."""
    foundation = await Foundation.start(binaries, say)
    try:
        with recording(case_folder, NAME, CASE, None) as recorder:
            env = await Environment.open(foundation, case_folder, recorder, Product(command))
            trouble: str | None = None
            try:
                await _play(env, say)
            except HarnessError as e:
                trouble = f"{type(e).__name__}: {e}"
            finally:
                say("cleaning up")
                await env.close()
            summary = summarise(recorder.history(), env.judgement, trouble=trouble)
            _write_down(env, summary)
    finally:
        await foundation.close()
    report = run_folder / REPORT_FILE
    write_report(report, load_run(run_folder), title="Fleetproof demo", rerun="fleetproof demo")
    return DemoResult(summary, env.judgement, report)


async def _play(env: Environment, say: Say) -> None:
    say(f"starting the operator, {SIZE.devices} devices and {SIZE.deployments} deployments")
    operator, devices = await start_settled(env, SIZE)
    say(f"every status is true; devices now report {RATE_PER_S:.0f} times a second")

    env.step("action", f"devices write {RATE_PER_S:.0f} reports a second; SIGKILL to the operator; start it again")
    await env.mark("load")
    load = WriteLoad(devices, RATE_PER_S).start()
    try:
        await _acknowledged(env, LOAD_BEFORE_S)
        await env.mark("kill")
        kill = Kill(operator, env.start_operator)
        await strike(kill, env.recorder)
        say(f"SIGKILL: operator pid {operator.process.pid} is dead; starting it again, the devices keep writing")
        await mend(kill, env.recorder)
        if kill.successor is not None:
            with still_judged():
                recovery = await kill.successor.wait_converged(CONVERGE_S)
                say(f"the new operator (pid {kill.successor.process.pid}) has converged: {_progress(recovery.sources)}")
        await _acknowledged(env, LOAD_AFTER_S)
        await env.mark("load-end")
        await load.stop()
    finally:
        await load.close()
    with still_judged():
        await wait_status_true(env, SETTLE_S)

    say("judging the recorded history")
    env.step("assert", "converged in time, nothing rewritten, every key and every count true")
    await env.judge(
        operator_worked,
        faults_bit,
        load_sustained("sigkill", ACKNOWLEDGED_PER_S_MIN, start="load", end="load-end"),
        no_unexpected_exit,
        converged_in_time("kill", CONVERGE_S),
        no_writes("kill", "load-end"),
        wanted_keys_present,
        status_true,
    )


def _progress(sources: Mapping[str, SourceProgress]) -> str:
    return ", ".join(f"{name} {progress.seen}" for name, progress in sources.items())


async def _acknowledged(env: Environment, seconds: float) -> None:
    """Wait until the devices had that many seconds' worth of writes acknowledged."""
    wanted = seconds * ACKNOWLEDGED_PER_S_MIN

    def count() -> int:
        return sum(isinstance(record, Op) and record.outcome == "ok" for record in env.recorder.records)

    before = count()
    await wait_for(
        f"{wanted:.0f} acknowledged writes",
        lambda: True if count() - before >= wanted else None,
        deadline_s=seconds * 5 + 10,
        interval_s=0.1,
    )


def _write_down(env: Environment, summary: Summary) -> None:
    write_result(
        env.folder,
        CaseRecord(
            id=NAME,
            title="Operator killed under write load",
            scenario=NAME,
            case=CASE,
            defect=None,
            outcome=summary.outcome,
            headline=summary.headline,
            facts=summary.facts,
            seconds=env.recorder.now_s,
            artefacts={path.stem: path.name for path in sorted(env.folder.glob("*.log"))},
            rerun="fleetproof demo",
        ),
    )
