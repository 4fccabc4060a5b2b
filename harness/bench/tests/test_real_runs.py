"""One small run of each benchmark on real servers: every part meets its peer."""

import sys
from pathlib import Path

import pytest

from harness.bench import agent, cold_start, state_change
from harness.bench.plan import Plan
from harness.bench.stage import NEEDED
from harness.bench.state_change import Load
from harness.errors import ServiceError
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


@pytest.mark.needs("podman")
def test_agent(binaries: dict[str, Path]) -> None:
    """The agent's container is the one that `podman run` makes; each idle agent is a process with a size."""
    told: list[str] = []
    found = agent.measure(binaries, None, rounds=1, idle_s=1.0, say=told.append)
    assert all(seconds > 0 for seconds in (*found.starts.agent_s, *found.starts.podman_s))
    assert len(found.starts.digest) == 16
    assert list(found.idle) == ["file", "installed", "file at a test's rates"]
    assert all(1 << 20 < idle.rss_bytes <= idle.rss_max_bytes for idle in found.idle.values())
    assert any("round 1 of 1" in line for line in told)


@pytest.mark.needs("podman")
def test_an_agent_that_ends_is_said(binaries: dict[str, Path]) -> None:
    """With its exit code and its last words, long before the deadline."""
    command = [sys.executable, "-c", "raise SystemExit('not today')"]
    with pytest.raises(ServiceError, match=r"starts-agent exited with 1.*not today"):
        agent.measure(binaries, command, rounds=1, idle_s=1.0, say=lambda _: None)
