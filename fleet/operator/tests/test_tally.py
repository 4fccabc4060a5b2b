"""Counts of one Deployment, and the newest of its failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.operator.tally import STANDING_OF_PHASE, Failure, Standing, Tally
from fleet.operator.tests.samples import D1, D2, at
from fleet.wire import DeviceId, Phase, device_id

DEVICES = [device_id(f"d{number}") for number in range(4)]


def failure(device: DeviceId, seconds: float, message: str = "no image") -> Failure:
    return Failure(at(seconds), device, message)


@pytest.mark.rule("S1")
def test_matched_is_the_sum_of_the_standings() -> None:
    """Each pair stands in one count, and all of them are the matched ones."""
    tally = Tally()
    assert tally.matched == 0
    for number, standing in enumerate(Standing, 1):
        tally.counts[standing] = number
    assert tally.matched == 1 + 2 + 3 + 4 + 5


@pytest.mark.rule("S3", "S4")
def test_every_phase_has_its_standing() -> None:
    """Running succeeds, Failed fails, and Pending is pending."""
    assert STANDING_OF_PHASE == {
        Phase.RUNNING: Standing.SUCCEEDED,
        Phase.FAILED: Standing.FAILED,
        Phase.PENDING: Standing.PENDING,
    }


@pytest.mark.rule("S7")
def test_the_newest_failure_is_the_last() -> None:
    """By time; of equal times the greatest device id. It goes when nobody fails any more."""
    tally = Tally()
    steps = [
        (D2, failure(D2, 1, "a"), failure(D2, 1, "a")),
        (D1, failure(D1, 1, "b"), failure(D2, 1, "a")),
        (D1, failure(D1, 2), failure(D1, 2)),
        (D1, None, failure(D2, 1, "a")),
        (D2, None, None),
    ]
    for device, told, last in steps:
        tally.set_failure(device, told)
        assert tally.last_failure == last


@pytest.mark.rule("S7")
@given(
    st.lists(
        st.tuples(st.sampled_from(DEVICES), st.none() | st.integers(0, 3), st.sampled_from("ab"), st.booleans()),
        max_size=20,
    )
)
def test_the_last_failure_is_the_greatest(steps: list[tuple[DeviceId, int | None, str, bool]]) -> None:
    """However failures come and go, and whenever one looks: it is the maximum of those that are there."""
    tally = Tally()
    there: dict[DeviceId, Failure] = {}
    for device, seconds, message, look in steps:
        there.pop(device, None)
        if seconds is not None:
            there[device] = failure(device, seconds, message)
        tally.set_failure(device, there.get(device))
        if look:
            assert tally.last_failure == max(there.values(), default=None)
    assert tally.last_failure == max(there.values(), default=None)
    assert tally.failures == there
