"""The wait between attempts grows to a ceiling, never further, and starts anew only after a steady stretch."""

import random

import pytest

from fleet.backoff import Backoff


@pytest.fixture(autouse=True)
def no_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Always draw the longest wait."""
    monkeypatch.setattr(random, "uniform", lambda _, ceiling: ceiling)


def test_it_grows_to_its_ceiling_and_stays_there() -> None:
    """Doubled each time up to five seconds; hours of outage are no overflow."""
    waits = Backoff()
    assert [waits.delay_s(lasted_s=0) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert {waits.delay_s(lasted_s=0) for _ in range(5000)} == {5.0}


def test_only_a_steady_stretch_starts_it_anew() -> None:
    """A peer that accepts and fails at once is no success; one that held for a while is."""
    waits = Backoff()
    for _ in range(9):
        waits.delay_s(lasted_s=4.9)
    assert waits.delay_s(lasted_s=4.9) == 5.0
    assert waits.delay_s(lasted_s=5.0) == 0.2


def test_it_never_draws_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full jitter: the shortest wait is none at all."""
    monkeypatch.setattr(random, "uniform", lambda floor, _: floor)
    assert Backoff().delay_s(lasted_s=0) == 0
