"""What happens to the Deployments of the first replay while they are held or folded, and to their list."""

import asyncio

import pytest

from fleet.operator.books import DEPLOYMENTS
from fleet.operator.tests.holding import Held
from fleet.operator.tests.samples import DB, WEB, deployment
from fleet.operator.tests.turns import running, turn
from fleet.wire import deployment_name

pytestmark = pytest.mark.rule("R2")


@pytest.mark.rule("R3")
async def test_what_happens_to_it_while_it_is_held(ran: Held) -> None:
    """Changed, it is folded as it is last; removed, not at all. The list counts what it brought, once."""
    ran.list("web", "db", "gone")
    ran.last.upsert(deployment(generation=2))
    ran.last.removed("gone")
    ran.last.removed("never-seen")
    ran.replay_others()
    await turn()
    assert ran.state.deployments == {WEB: deployment(generation=2), DB: deployment("db")}
    assert [name for name, _ in ran.ticker.names if name not in ran.state.deployments] == ["gone", "never-seen"]
    assert ran.source == (4, 3, True, None)


@pytest.mark.rule("R10")
@pytest.mark.parametrize("known", [False, True])
async def test_malformed_while_it_is_held(ran: Held, *, known: bool) -> None:
    """What was known of it stays, and it is unreadable; whether it was readable once or never."""
    ran.list(*["web"] * known)
    ran.last.malformed("web", "no score")
    assert ran.malformed(DEPLOYMENTS) == 1
    ran.replay_others()
    await turn()
    assert ran.state.deployments == ({WEB: deployment()} if known else {})
    assert ran.state.unreadable_deployments == {"web"}
    assert ran.recovery.converged
    ran.last.upsert(deployment(generation=2))
    assert ran.state.unreadable_deployments == set()


@pytest.mark.rule("R10")
async def test_readable_again_while_it_is_held(ran: Held) -> None:
    """The newest that can be read is folded, and nothing is unreadable."""
    ran.list("web")
    ran.last.malformed("web", "no score")
    ran.last.upsert(deployment(generation=3))
    ran.replay_others()
    await turn()
    assert ran.state.deployments == {WEB: deployment(generation=3)}
    assert ran.state.unreadable_deployments == set()


async def test_news_while_it_is_folded(held: Held) -> None:
    """Each is in the end what was last said of it: folded already or not, changed, unreadable or removed."""
    held.list("changed", "removed", "malformed")
    held.replay_others()
    async with running(held.last.run()):
        for _ in range(5):
            held.last.upsert(deployment("changed", generation=2))
            held.last.malformed("malformed", "no score")
            held.last.removed("removed")
            await asyncio.sleep(0)
        await turn()
    assert held.state.deployments == {
        deployment_name("changed"): deployment("changed", generation=2),
        deployment_name("malformed"): deployment("malformed"),
    }
    assert held.state.unreadable_deployments == {"malformed"}
    assert held.recovery.converged


@pytest.mark.rule("R3")
async def test_a_list_that_is_lost_while_it_is_held(ran: Held) -> None:
    """Nothing is folded by its end any more; the next list, in which one is missing, is."""
    ran.list("web", "gone")
    ran.last.lost("connection refused")
    ran.replay_others()
    await turn()
    assert ran.state.deployments == {}
    assert ran.source == (2, 2, False, "connection refused")
    ran.last.replay_started()
    ran.last.upsert(deployment(generation=2))
    ran.last.removed("gone")
    await turn()
    assert ran.state.deployments == {}
    ran.last.replayed()
    await turn()
    assert ran.state.deployments == {WEB: deployment(generation=2)}
    assert ran.recovery.converged


@pytest.mark.rule("R3")
@pytest.mark.parametrize("again", [False, True])
async def test_a_list_that_begins_anew_is_not_the_one_that_ended(ran: Held, *, again: bool) -> None:
    """Between the start of a list and its end nothing is complete, whatever an earlier one was."""
    ran.list("web")
    ran.last.replay_started()
    assert (ran.source, ran.ticker.restarts) == ((0, None, False, None), 2)
    ran.replay_others()
    await turn()
    assert ran.state.deployments == {}
    if again:
        ran.last.replayed()
    await turn()
    assert ran.recovery.converged is again


@pytest.mark.rule("R3")
@pytest.mark.parametrize("listed_again", [False, True])
async def test_a_list_that_is_lost_while_it_is_folded(held: Held, *, listed_again: bool) -> None:
    """What is held is folded, as it is known; it is current after the next list only, during the fold or later."""
    held.list("web", "db", "gone")
    held.replay_others()
    async with running(held.last.run()):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(held.state.deployments) < 3
        held.last.lost("reset")
        if listed_again:
            held.list("web", "db")
            held.last.removed("gone")
        await turn()
        assert held.state.deployments.keys() == ({WEB, DB} if listed_again else {WEB, DB, "gone"})
        assert held.recovery.converged is listed_again
        if not listed_again:
            held.last.replay_started()
            held.last.upsert(deployment(generation=2))
            assert held.state.deployments[WEB].generation == 2
            assert not held.recovery.converged
            held.last.replayed()
        assert held.recovery.converged
