"""Pauses between the tries at one thing."""

import pytest

from fleet.agent.attempts import Attempts
from fleet.agent.model import Failure, Reason

BAD = Failure(Reason.START_FAILED, "no")


def _pauses(count: int, dice: float = 0.0) -> list[float]:
    tries, pauses = Attempts("d"), []
    for _ in range(count):
        tries = tries.failed(BAD, 1000.0, dice)
        pauses.append(tries.not_before_s - 1000.0)
    return pauses


@pytest.mark.rule("A11")
def test_pauses_grow_and_are_bounded() -> None:
    """1, 2, 4 ... 300 s, however often it fails."""
    assert _pauses(10) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert _pauses(5000)[-1] == 300


@pytest.mark.rule("A11")
def test_dice_take_off_up_to_a_half() -> None:
    """Many devices that fail together do not come back together."""
    assert _pauses(3, dice=1.0) == [0.5, 1, 2]


def test_pause_ends() -> None:
    """No try before its end, and one at it."""
    tries = Attempts("d").failed(BAD, 10.0, 0.0)
    assert tries.paused(10.999)
    assert not tries.paused(11.0)
    assert tries.failure == BAD


@pytest.mark.rule("A11")
def test_steady_run_is_forgiven() -> None:
    """After 60 s of running the next end is the first one; a shorter run counts on."""
    tries = Attempts("d").failed(BAD, 0.0, 0.0).failed(BAD, 0.0, 0.0)
    assert tries.ran(10.0).ran(50.0).failed(BAD, 70.0, 0.0).failures == 1
    assert tries.ran(10.0).failed(BAD, 69.9, 0.0).failures == 3


def test_failure_is_over_once_it_runs() -> None:
    """What a later end is like, the next failure tells."""
    assert Attempts("d").failed(BAD, 0.0, 0.0).ran(10.0).failure is None


def test_another_thing_starts_afresh() -> None:
    """A new digest is not held up by what the old one did."""
    tries = Attempts("d").failed(BAD, 0.0, 0.0)
    assert tries.at("d") is tries
    assert tries.at("e") == Attempts("e")
