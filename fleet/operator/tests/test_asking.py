"""Devices are asked to say again what a bucket lost, until every one that is known has been heard."""

import json

import pytest
from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from structlog.testing import capture_logs

from fleet.operator.asking import Asking
from fleet.operator.books import DEVICES, SOURCES
from fleet.operator.recovery import Recovery
from fleet.operator.tests.samples import D1, D2, device, fleet_state
from fleet.operator.tests.turns import Clock, turn


class Nats(Client):
    """A connection that takes what is published."""

    def __init__(self) -> None:
        self.windows_s: list[int] = []
        self.is_away = False

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        assert (subject, reply, headers) == ("fleet.republish", "", None)
        if self.is_away:
            raise ConnectionClosedError
        self.windows_s.append(json.loads(payload)["window_s"])

    async def flush(self, timeout: float = 10) -> None:  # noqa: ASYNC109 - nats-py's signature
        assert timeout


class Fleet:
    """Two devices, and whoever asks them."""

    def __init__(self) -> None:
        self.nats = Nats()
        self.recovery = Recovery(SOURCES)
        self.state = fleet_state()
        self.asking = Asking(self.nats, self.state, self.recovery)

    @property
    def asked(self) -> int:
        return len(self.nats.windows_s)

    def know(self) -> None:
        for name in (D1, D2):
            self.state.upsert_device(device(name))
        self.recovery.current(DEVICES)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.mark.rule("R6")
async def test_who_did_not_hear_it_is_asked_again(fleet: Fleet, clock: Clock) -> None:
    """Until every device has introduced itself; who did so before the question has not answered it."""
    fleet.know()
    fleet.asking.heard(D1)
    fleet.asking.lost()
    await turn()
    assert fleet.asked == 1
    fleet.asking.heard(D2)
    await clock.go_on(3.1)
    assert fleet.asked == 2
    fleet.asking.heard(D1)
    for _ in range(10):
        await clock.go_on(10.1)
    assert fleet.asked == 2


@pytest.mark.rule("R6")
async def test_patience_has_an_end(fleet: Fleet, clock: Clock) -> None:
    """A device that is gone for good is not asked for ever."""
    fleet.know()
    fleet.asking.lost()
    for _ in range(20):
        await clock.go_on(10.1)
    assert fleet.asked == 4


@pytest.mark.rule("R6")
async def test_while_nobody_knows_the_devices_nobody_knows_that_all_were_heard(fleet: Fleet, clock: Clock) -> None:
    """A bucket replays sooner than the Devices are listed: who is not known yet has not been heard."""
    fleet.asking.lost()
    await turn()
    await clock.go_on(3.1)
    assert fleet.asked == 2
    fleet.know()
    await clock.go_on(10.1)
    assert fleet.asked == 3
    for name in (D1, D2):
        fleet.asking.heard(name)
    await clock.go_on(60.1)
    assert fleet.asked == 3


@pytest.mark.rule("R6")
async def test_an_empty_fleet_is_asked_once(fleet: Fleet, clock: Clock) -> None:
    """Nobody is there who could have missed it."""
    fleet.recovery.current(DEVICES)
    fleet.asking.lost()
    await turn()
    await clock.go_on(3.1)
    await clock.go_on(10.1)
    assert fleet.asked == 1


@pytest.mark.rule("R6")
async def test_another_loss_begins_anew(fleet: Fleet, clock: Clock) -> None:
    """One series at a time; what was said before the second loss may be lost with it."""
    fleet.know()
    fleet.asking.lost()
    await turn()
    for name in (D1, D2):
        fleet.asking.heard(name)
    fleet.asking.lost()
    await turn()
    assert fleet.asked == 2
    await clock.go_on(3.1)
    assert fleet.asked == 3


async def test_a_question_that_could_not_be_sent_is_logged(fleet: Fleet, clock: Clock) -> None:
    """The connection went in that very moment: no crash, and the next one is sent."""
    fleet.know()
    fleet.nats.is_away = True
    with capture_logs() as logs:
        fleet.asking.lost()
        await turn()
    assert [line["event"] for line in logs] == ["republish_not_asked"]
    fleet.nats.is_away = False
    await clock.go_on(3.1)
    assert fleet.asked == 1
