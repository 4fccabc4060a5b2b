"""Sets everything up for a sweep, runs it, and leaves nothing but the run's folder."""

import asyncio
import os
import shlex
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from harness.artefacts import RunFolder, runs_folder
from harness.capability import Unavailable, capability_named, probe_all
from harness.env import Foundation
from harness.env.foundation import NEEDED
from harness.env.product import Product
from harness.errors import MissingPart
from harness.toolchain import Toolchain
from reports.html import write_report
from reports.results import REPORT_FILE, load_run
from scenarios.running.sweep import Choose, Sweep, Swept

_NEEDS = ("podman", "strace-inject")


@dataclass(frozen=True, slots=True)
class Done:
    swept: Swept
    seconds: float
    report: Path


def sweep_roll(choose: Choose, workers: int, agent: str | None, runs: Path | None, console: Console) -> Done:
    """Raises HarnessError."""
    for name, result in probe_all(_NEEDS).items():
        if isinstance(result, Unavailable):
            raise MissingPart(f"{name}: {result.detail}; to enable: {capability_named(name).enable}")
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {escape(text)}")

    binaries = Toolchain().ensure_all(NEEDED)
    command = shlex.split(agent) if agent else [sys.executable, "-m", "fleet", "agent", "run"]
    product = Product((sys.executable, "-m", "fleet", "operator"), command)

    async def play(run: RunFolder) -> Swept:
        foundation = await Foundation.start(binaries, say)
        try:
            await foundation.payload_storage()
            sweep = Sweep(foundation, run, product, choose, say)
            await sweep.run(workers)
        finally:
            await foundation.close()
        return sweep.swept

    folder = runs_folder(runs, environ=os.environ, cwd=Path.cwd())
    with RunFolder.create(folder, started=datetime.now(UTC)) as run:
        swept = asyncio.run(play(run))
        report = run.path / REPORT_FILE
        write_report(report, load_run(run.path), title="Sweep of a roll", rerun="fleetproof sweep roll")
    return Done(swept, time.monotonic() - began, report)
