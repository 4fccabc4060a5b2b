"""What sharing an environment saves: a test's clean world against a first start, and the suite against a naive one.

    ours    two workers, each with one Kubernetes API and toxiproxy, a namespace and a broker per case
    naive   one worker, all of it started afresh for each case

Both run the same cases, in turns of a few shapes each; their verdicts are compared before their times.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.bench.figures import Spread
from harness.bench.machine import machine
from harness.env import Environment, Foundation
from harness.env.product import Product
from harness.env.recording import recording
from harness.errors import HarnessError, Mismatch
from harness.history.records import Json
from harness.services.warden import Warden
from scenarios.worlds.fleet import Size, create

WORKERS = 2
RESETS = 10
SIZE = Size(8, 4)
RUN_WITHIN_S = 5400.0
ENDS_WITHIN_S = 60.0
_FLEETPROOF = (sys.executable, "-m", "scenarios.cli")
_OPERATOR = (sys.executable, "-m", "fleet", "operator")

Say = Callable[[str], None]


class _Case(msgspec.Struct):
    shape: str
    case: str
    outcome: str
    headline: str


class _Run(msgspec.Struct):
    """What of `fleetproof run --json` matters here."""

    seconds: float
    cases: list[_Case]


@dataclass(frozen=True, slots=True)
class Answer:
    """`suites` are the seconds of each turn, by name; `resets_s` what one clean world takes, opened and closed."""

    start_s: float
    resets_s: Sequence[float]
    suites: Mapping[str, Sequence[float]]
    cases: int
    not_passed: Sequence[str]

    def as_json(self) -> Json:
        totals = {name: sum(seconds) for name, seconds in self.suites.items()}
        return {
            "reset_over_start": round(statistics.median(self.resets_s) / self.start_s, 4),
            "suite_over_naive": round(totals["ours"] / totals["naive"], 3),
            "start_s": round(self.start_s, 3),
            "reset_s": Spread.of(self.resets_s).as_json(),
            "suite_s": {name: round(total, 1) for name, total in totals.items()},
            "cases": self.cases,
            "not_passed": list(self.not_passed),
            "machine": machine(),
        }


async def measure_resets(binaries: Mapping[str, Path], say: Say) -> tuple[float, list[float]]:
    """Seconds of a first start, up to the first world that a test could use, and of each clean world after it.

    A clean world is opened and, with the objects of a small case in it, closed; making those is the case's own time.
    """
    with tempfile.TemporaryDirectory(prefix="fleetproof-bench-") as folder:
        began = time.monotonic()
        foundation = await Foundation.start(binaries, say)
        start_s, resets_s = 0.0, []
        try:
            for number in range(RESETS + 1):
                at = Path(folder) / str(number)
                with recording(at, "bench-suite", str(number), None) as recorder:
                    opens = time.monotonic()
                    env = await Environment.open(foundation, at, recorder, Product(_OPERATOR))
                    opened = time.monotonic()
                    start_s = start_s or opened - began
                    await create(env, SIZE)
                    closes = time.monotonic()
                    await env.close()
                resets_s.append(time.monotonic() - closes + opened - opens)
        finally:
            await foundation.close()
    # The first one also warmed everything up.
    return start_s, resets_s[1:]


def measure(binaries: Mapping[str, Path], turns: Sequence[Sequence[str]], say: Say) -> Answer:
    """Each turn is a list of shapes that both suites run, one after the other; who begins changes.

    Raises:
        Mismatch: a case had another verdict in one than in the other.
        HarnessError: a suite did not run.
    """
    start_s, resets_s = asyncio.run(measure_resets(binaries, say))
    say(f"first start {start_s:.2f} s, then a clean world in {statistics.median(resets_s):.3f} s")
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    verdicts: dict[str, dict[str, str]] = {"ours": {}, "naive": {}}
    with Warden() as warden:
        for number, shapes in enumerate(turns):
            for name in ("ours", "naive") if number % 2 == 0 else ("naive", "ours"):
                say(f"turn {number + 1} of {len(turns)}: {name}, {', '.join(shapes)}")
                run = _run(shapes, fresh=name == "naive", warden=warden)
                seconds[name].append(run.seconds)
                for ended in run.cases:
                    verdicts[name][f"{ended.shape}[{ended.case}]"] = ended.outcome
                    if ended.outcome != "pass":
                        # Its history is not kept: an hour later nobody could say why any more.
                        say(f"{name}: {ended.shape}[{ended.case}] {ended.outcome}: {ended.headline}")
            ours_s, naive_s = seconds["ours"][-1], seconds["naive"][-1]
            so_far = sum(seconds["ours"]) / sum(seconds["naive"])
            say(f"turn {number + 1}: ours {ours_s:.1f} s, naive {naive_s:.1f} s; {so_far:.3f} so far")
    different = sorted(
        case
        for case in verdicts["ours"].keys() | verdicts["naive"].keys()
        if verdicts["ours"].get(case) != verdicts["naive"].get(case)
    )
    if different:
        case = different[0]
        raise Mismatch(
            f"{len(different)} cases ended otherwise in the naive suite, e.g. {case}: "
            f"{verdicts['ours'].get(case)} in ours, {verdicts['naive'].get(case)} there"
        )
    not_passed = sorted(case for case, outcome in verdicts["ours"].items() if outcome != "pass")
    return Answer(start_s, resets_s, seconds, len(verdicts["ours"]), not_passed)


def _run(shapes: Sequence[str], *, fresh: bool, warden: Warden) -> _Run:
    """One run of these shapes in a process of its own, as a user would start it."""
    workers = 1 if fresh else WORKERS
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} {'--fresh-foundation' if fresh else ''}".strip()
    with tempfile.TemporaryDirectory(prefix="fleetproof-bench-") as runs, tempfile.TemporaryFile() as told:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [*_FLEETPROOF, "run", *shapes, "-n", str(workers), "--json", "--runs", runs],
            env={**os.environ, "PYTEST_ADDOPTS": options},
            stdout=subprocess.PIPE,
            stderr=told,
            # Ctrl-C is for us: it is passed on below, once.
            start_new_session=True,
        )
        warden.own_process(child.pid)
        try:
            answer, _ = child.communicate(timeout=RUN_WITHIN_S)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                child.wait(ENDS_WITHIN_S)
            warden.release_process(child.pid)
        told.seek(0)
        words = told.read().decode(errors="replace").strip().splitlines()[-1:]
    try:
        return msgspec.json.decode(answer, type=_Run)
    except msgspec.MsgspecError as e:
        raise HarnessError(f"fleetproof run {' '.join(shapes)} gave no answer: {' '.join(words)}") from e


def turns_of(shapes: Sequence[str], each: int) -> list[Sequence[str]]:
    """`each` shapes a turn; what both suites run is interleaved by them."""
    return [shapes[i : i + each] for i in range(0, len(shapes), each)]
