"""Recovering until all sources are current at once; revocable."""

import pytest

from fleet.operator.recovery import CONVERGED, RECOVERING, Recovery


@pytest.fixture
def recovery() -> Recovery:
    return Recovery(["a", "b"])


@pytest.mark.rule("R2")
def test_converged_means_all_sources_at_once(recovery: Recovery) -> None:
    """One current source is not enough, and one that was lost meanwhile does not count."""
    recovery.current("a")
    assert recovery.phase == RECOVERING
    recovery.lost("a", "away")
    recovery.current("b")
    assert not recovery.converged
    recovery.current("a")
    assert recovery.phase == CONVERGED


@pytest.mark.rule("R2")
def test_a_source_beside_them_is_not_waited_for() -> None:
    """It is shown with the others, and neither its absence nor its loss revokes anything."""
    recovery = Recovery(["a"], beside=["c"])
    recovery.current("a")
    assert recovery.converged
    recovery.lost("c", "away")
    recovery.started("c")
    assert recovery.converged
    sources = recovery.as_json()["sources"]
    assert isinstance(sources, dict)
    assert {name: source["gates"] for name, source in sources.items()} == {"a": True, "c": False}


@pytest.mark.rule("R1", "R2")
@pytest.mark.parametrize("revoke", ["lost", "started"])
def test_a_source_that_is_lost_or_replays_revokes(recovery: Recovery, revoke: str) -> None:
    """Losing a source, or starting its replay again, ends convergence; regaining it counts a second one."""
    recovery.current("a")
    recovery.current("b")
    if revoke == "lost":
        recovery.lost("b", "away")
    else:
        recovery.started("b")
    assert not recovery.converged
    recovery.current("b")
    recovery.current("b")
    assert recovery.converged_count == 2


def test_progress_is_counted_while_it_replays(recovery: Recovery) -> None:
    """`seen` of `expected` grows during a replay, starts again with it, and stands still after it."""
    recovery.started("a")
    recovery.expecting("a", 2)
    recovery.saw("a")
    recovery.saw("a")
    recovery.current("a")
    recovery.saw("a")
    source = recovery.sources["a"]
    assert (source.seen, source.expected) == (2, 2)
    recovery.started("a")
    assert (source.seen, source.expected) == (0, None)


def test_trouble_is_shown_until_the_source_is_current(recovery: Recovery) -> None:
    """The reason of a loss stands at /recovery until it is over; how often it was lost while current stays."""
    recovery.current("a")
    recovery.lost("a", "connection refused")
    recovery.lost("a", "connection refused again")
    assert recovery.as_json() == {
        "phase": "Recovering",
        "sources": {
            "a": {
                "seen": 0,
                "expected": None,
                "current": False,
                "trouble": "connection refused again",
                "revoked": 1,
                "gates": True,
            },
            "b": {"seen": 0, "expected": None, "current": False, "trouble": None, "revoked": 0, "gates": True},
        },
    }
    recovery.current("a")
    assert recovery.sources["a"].trouble is None
