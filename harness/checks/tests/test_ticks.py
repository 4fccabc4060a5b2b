"""Which patches cannot have come from ticks."""

import pytest

from harness.checks.ticks import outside_of_ticks
from harness.history import Request

NAMES = ("app-0", "app-1", "app-2", "app-3")


def patch(at_s: float, name: str, operator: str = "fleet-operator") -> Request:
    return Request(
        at_s=at_s + 0.002,
        requested_s=at_s,
        user="operator",
        user_agent=operator,
        verb="patch",
        resource="deployments",
        subresource="status",
        name=name,
        code=200,
    )


def outside(*patches: Request) -> list[int]:
    return outside_of_ticks(enumerate(patches, start=1))


def tick(began_s: float, *after_s: float, operator: str = "fleet-operator") -> list[Request]:
    """A tick that patches all four, each so long after its begin."""
    return [patch(began_s + late_s, name, operator) for late_s, name in zip(after_s, NAMES, strict=True)]


def test_ticks_a_second_apart() -> None:
    """Everything is patched in each of five."""
    assert outside(*(one for number in range(5) for one in tick(number, 0.01, 0.02, 0.03, 0.04))) == []


def test_a_pause_within_a_tick() -> None:
    """On a busy machine: the second half of a tick comes late, and the next tick in time, with another order."""
    slow, next_tick = tick(0.0, 0.2, 0.5, 0.85, 0.9), tick(1.0, 0.04, 0.01, 0.03, 0.02)
    assert outside(*slow, *next_tick, *tick(2.0, 0.01, 0.4, 0.75, 0.8)) == []


def test_ticks_that_patch_few() -> None:
    """Whoever is patched in one tick may be patched in the next, whomever the ticks before had patched."""
    assert outside(patch(0.0, "a"), patch(1.0, "b"), patch(2.0, "b"), patch(3.01, "a"), patch(4.0, "b")) == []


def test_a_tick_that_takes_longer_than_a_second() -> None:
    """The next one begins when it has ended."""
    assert outside(*tick(0.0, 0.1, 0.9, 1.2, 1.5), *tick(1.5, 0.01, 0.02, 0.03, 0.04)) == []


def test_two_operators() -> None:
    """Each has ticks of its own."""
    assert outside(*tick(0.0, 0.1, 0.2, 0.3, 0.4), *tick(0.05, 0.1, 0.2, 0.3, 0.4, operator="another")) == []


def test_twice_at_once() -> None:
    """A status that is patched again at once."""
    assert outside(patch(0.0, "a"), patch(0.1, "a")) == [2]


def test_twice_in_the_second_tick() -> None:
    """Whatever the tick before it left room for."""
    first = tick(0.0, 0.01, 0.02, 0.03, 0.04)
    assert outside(*first, *tick(1.0, 0.01, 0.02, 0.03, 0.04), patch(1.05, NAMES[1])) == [9]


@pytest.mark.parametrize("apart_s", [0.01, 0.2, 0.5, 0.8])
def test_patches_that_follow_no_tick(apart_s: float) -> None:
    """Each change is patched as it comes: sooner or later no tick explains it."""
    assert outside(*(patch(number * apart_s, name) for number in range(20) for name in NAMES)) != []
