"""When a process has stood still: not while it worked, and not for a moment."""

import pytest

from fleet.operator.standstill import LIMIT_S, stood_still_s


@pytest.mark.rule("R8")
@pytest.mark.parametrize(
    ("elapsed_s", "cpu_s", "still_s"),
    [
        pytest.param(0.1, 0.0, 0.0, id="a pulse in time"),
        pytest.param(1.1, 0.0, 0.0, id="late by the limit"),
        pytest.param(1.25, 0.0, 1.15, id="late by more"),
        pytest.param(60.1, 0.0, 60.0, id="stopped for a minute"),
        pytest.param(10.0, 9.5, 0.0, id="ten seconds of work"),
        pytest.param(10.0, 5.0, 4.9, id="half of it work"),
        pytest.param(0.1, 0.4, 0.0, id="threads use more than the time that passed"),
    ],
)
def test_stood_still(elapsed_s: float, cpu_s: float, still_s: float) -> None:
    """Time without work of ours beyond the limit is a standstill; its length is told."""
    assert LIMIT_S == 1.0
    assert stood_still_s(elapsed_s, cpu_s) == pytest.approx(still_s)
