"""One small run of each benchmark on real servers: every part meets its peer."""

import sys
from pathlib import Path

import pytest

from harness.bench import cold_start, state_change
from harness.bench.plan import Plan
from harness.bench.stage import NEEDED
from harness.bench.state_change import Load
from harness.toolchain import Toolchain

OPERATOR = [sys.executable, "-m", "fleet", "operator"]


@pytest.fixture(scope="module")
def binaries() -> dict[str, Path]:
    return Toolchain().ensure_all(NEEDED)


def test_cold_start(binaries: dict[str, Path]) -> None:
    """Every contestant runs and sees the same world, and the operator writes nothing into it."""
    told: list[str] = []
    found = cold_start.measure(binaries, Plan(devices=50, deployments=4), OPERATOR, rounds=1, say=told.append)
    answer = found.as_json()
    assert (answer["pairs"], answer["writes"]) == (100, 0)
    assert all(samples[0].seconds > 0 for samples in found.rounds.values())
    assert len(found.digest) == 16
    assert any("round 1 of 1: twin" in line for line in told)


def test_state_change(binaries: dict[str, Path]) -> None:
    """Both fleets take the load, and each changed status is patched once a tick."""
    load = Load(changes=2000, rate_per_s=1000, rounds=1)
    found = state_change.measure(binaries, (Plan(20, 4), Plan(100, 4)), load, OPERATOR, say=lambda _: None)
    answer = found.as_json()
    assert found.problems == []
    assert answer["patches"] == answer["changed_pairs"] != 0
