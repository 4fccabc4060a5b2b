"""The pulse by which a standstill of the process is noticed."""

import pytest

from fleet.operator import standstill
from fleet.operator.standstill import Standstill
from fleet.operator.tests.turns import Clock, Stopwatch, running, turn


@pytest.mark.rule("R8")
async def test_the_pulse_notices_a_standstill(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It beats ten times a second; time that passed without it counts, work of our own does not."""
    stopwatch, stills = Stopwatch(), list[float]()
    monkeypatch.setattr(standstill, "time", stopwatch)
    still = Standstill(stills.append)
    stopwatch.now_s = 100.0
    async with running(still.run()):
        await turn()
        for worked_s, passed_s in ((0.0, 0.1), (0.0, 1.0), (9.0, 9.5)):
            stopwatch.now_s += passed_s
            stopwatch.cpu_s += worked_s
            await clock.go_on(0.11)
        assert (stills, still.epoch) == ([], 0)
        stopwatch.now_s += 5.1
        await clock.go_on(0.11)
        await clock.go_on(0.11)
    assert stills == [pytest.approx(5.0)]
    assert still.epoch == 1
