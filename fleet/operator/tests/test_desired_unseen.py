"""A broker that acknowledges a write and never shows it: waited for a while, then complained of."""

import pytest
from structlog.testing import capture_logs

from fleet.operator import desired_writer
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.status import Trouble
from fleet.operator.tests.samples import WEB, cell, pair
from fleet.operator.tests.turns import Clock, running, turn
from fleet.operator.tests.world import World


async def settle(writer: DesiredWriter) -> None:
    writer.wake()
    await turn()


@pytest.mark.rule("S10")
async def test_a_write_that_is_never_shown_is_told(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """Not before it is overdue, and not for ever: once the key is as it should be there is nothing to tell."""
    async with running(writer.run()), running(world.announcer.run()):
        await settle(writer)
        world.state.dirty_status.clear()
        await clock.go_on(desired_writer._SHOWN_S_MAX - 0.1)
        assert writer.trouble(WEB) is None
        with capture_logs() as logs:
            await clock.go_on(0.2)
    assert writer.trouble(WEB) == Trouble(
        "WriteFailed", "desired-state: the broker acknowledged d1.web and does not show it"
    )
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["desired_write_unseen"]
    assert world.state.dirty_status == {WEB}
    world.state.desire(pair(), cell())
    assert writer.trouble(WEB) is None


async def test_a_write_that_was_shown_is_not_waited_for(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """News of the key ends the wait, and so does a replay: then nobody knows what was lost."""

    def heard() -> None:
        writer.heard(pair())

    for shown in (heard, writer.restarted):
        async with running(writer.run()):
            world.state.dirty_pairs.add(pair())
            await settle(writer)
            shown()
            await clock.go_on(desired_writer._SHOWN_S_MAX + 0.1)
        assert writer.trouble(WEB) is None
