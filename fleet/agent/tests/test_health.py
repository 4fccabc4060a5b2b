"""What a series of checks says."""

import pytest

from fleet.agent.health import Health, Verdict


@pytest.mark.rule("A21")
def test_verdicts() -> None:
    """Unknown until it passes or fails often enough; a pass mends it; one failure too few changes nothing."""
    health = Health().failed("a", retries=2)
    assert health.verdict is Verdict.UNKNOWN
    health = health.failed("b", retries=2)
    assert (health.verdict, health.words) == (Verdict.UNHEALTHY, "b")
    assert health.failed("c", retries=2).verdict is Verdict.UNHEALTHY
    health = health.passed()
    assert health.failed("d", retries=2).verdict is Verdict.HEALTHY
    assert health.failed("d", retries=2).passed().failed("e", retries=2).verdict is Verdict.HEALTHY
    assert Health().failed("f", retries=1).verdict is Verdict.UNHEALTHY
