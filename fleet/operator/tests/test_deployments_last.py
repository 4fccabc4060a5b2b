"""The Deployments of the first replay are folded after all else, and `unwanted` is judged then; later ones at once."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.bus.entry import Entries, Entry
from fleet.kube.objects import Deployment
from fleet.operator.tally import Standing
from fleet.operator.tests.holding import Held
from fleet.operator.tests.samples import D1, DB, WEB, deployment, device, pair
from fleet.operator.tests.turns import running, turn
from fleet.wire import DeploymentName, deployment_name, desired_key

pytestmark = pytest.mark.rule("R2")


@pytest.mark.parametrize("listed_at", range(5))
async def test_held_until_all_else_is_there(ran: Held, listed_at: int) -> None:
    """Wherever in the order of the five the list ends; then folded, judged, and current, in this order."""
    ran.devices.upsert(device())
    ran.desired.entries(Entries.of(Entry(desired_key(pair(deployment="db")), 5, deployment().wanted)))
    steps = [source.replayed for source in ran.others]
    for step in [*steps[:listed_at], lambda: ran.list("web"), *steps[listed_at:]]:
        await turn()
        assert (ran.state.deployments, ran.state.unwanted.pairs) == ({}, set())
        step()
        assert not ran.recovery.converged
    await turn()
    assert ran.state.deployments == {WEB: deployment()}
    assert ran.state.unwanted.pairs == {pair(deployment="db")}
    assert ran.source == (1, 1, True, None)
    assert ran.recovery.converged


@pytest.mark.rule("R3")
@pytest.mark.parametrize("number", range(4))
async def test_one_that_is_lost_again_is_waited_for(ran: Held, number: int) -> None:
    """Each of the others: that it was current before does not do."""
    ran.list("web")
    lost, *rest = [*ran.others[number:], *ran.others[:number]]
    lost.replayed()
    lost.lost("reset")
    for source in rest:
        source.replayed()
    await turn()
    assert ran.state.deployments == {}
    lost.replayed()
    await turn()
    assert ran.recovery.converged


async def test_nothing_to_hold(ran: Held) -> None:
    """An empty list ends like any other."""
    ran.list()
    ran.replay_others()
    await turn()
    assert ran.recovery.converged


async def test_judged_before_it_is_current(ran: Held) -> None:
    """The writers that hear of the convergence find all of it: the counts, what is unwanted, and nobody woke before."""
    seen: list[tuple[object, ...]] = []
    ran.books._wake = lambda: seen.append((set(ran.state.deployments), set(ran.state.unwanted.pairs)))
    ran.desired.entries(Entries.of(Entry(desired_key(pair(deployment="old")), 5, deployment().wanted)))
    ran.replay_others()
    ran.list("web", "db")
    await turn()
    assert seen == [({WEB, DB}, {pair(deployment="old")})]


async def test_others_get_their_turn_between_two(held: Held) -> None:
    """A large Deployment takes a while to fold: not all of them are folded at once."""
    names = [f"n{number}" for number in range(9)]
    held.list(*names)
    held.replay_others()
    async with running(held.last.run()):
        for folded in range(9):
            assert len(held.state.deployments) == folded
            await asyncio.sleep(0)
        await turn()
        assert held.recovery.converged


async def test_after_the_first_replay_news_are_folded_at_once(ran: Held) -> None:
    """As they come, without a turn of the loop; and the writers are woken."""
    ran.list("web")
    ran.replay_others()
    await turn()
    ran.wakes = 0
    ran.devices.upsert(device())
    ran.last.upsert(deployment("db"))
    assert ran.state.standings.devices_of(WEB) == ran.state.standings.devices_of(DB) == {D1}
    assert ran.state.standings.tallies[DB].counts[Standing.PENDING] == 1
    ran.last.removed("web")
    assert WEB not in ran.state.deployments
    ran.last.malformed("db", "no score")
    assert ran.state.deployments == {DB: deployment("db")}
    assert ran.state.unreadable_deployments == {DB}
    assert ran.wakes == 3


@pytest.mark.rule("R3")
async def test_a_second_convergence_does_not_hold(ran: Held) -> None:
    """After a loss of everything, the list is folded as it comes and current at its end, and nothing is judged late."""
    ran.list("web")
    ran.replay_others()
    await turn()
    for source in ran.others:
        source.lost("reset")
    ran.last.lost("reset")
    ran.desired.entries(Entries.of(Entry(desired_key(pair(deployment="db")), 5, deployment("db").wanted)))
    assert ran.state.unwanted.pairs == {pair(deployment="db")}
    ran.devices.upsert(device())
    ran.last.replay_started()
    ran.last.upsert(deployment("db"))
    assert ran.state.unwanted.pairs == set()
    assert ran.state.desired.is_settled(pair(deployment="db"))
    ran.last.replayed()
    assert ran.source[2]
    ran.replay_others()
    assert ran.recovery.converged
    assert ran.recovery.converged_count == 2


NAMES = [deployment_name(name) for name in ("web", "db", "third")]
names = st.sampled_from(NAMES)
steps_of_all = st.one_of(
    st.tuples(st.just("upsert"), names, st.integers(1, 3)),
    st.tuples(st.sampled_from(["removed", "malformed"]), names),
    st.tuples(st.sampled_from(["listed", "lost", "others", "others lost", "turn", "turn"])),
)


@pytest.mark.rule("R3", "R10")
@given(st.lists(steps_of_all, max_size=25))
@example([("upsert", "web", 1), ("listed",), ("others",), ("lost",), *[("turn",)] * 5])
async def test_whenever_it_has_converged_everything_is_known(steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    """Whatever happens between the turns of the loop: what is current holds all news, each as it was last told."""
    held = Held()
    last = held.last
    facts: dict[DeploymentName, Deployment] = {}
    unreadable: set[str] = set()
    is_listed = False
    held.devices.upsert(device())
    held.desired.entries(
        Entries.of(*(Entry(desired_key(pair(deployment=name)), 5, deployment().wanted) for name in NAMES))
    )
    async with running(last.run()):
        for step in [*steps, ("others",), ("listed",), *[("turn",)] * (len(NAMES) + 2)]:
            match step:
                case ("upsert", str(name), int(generation)):
                    facts[deployment_name(name)] = told = deployment(name, generation=generation)
                    unreadable.discard(name)
                    last.upsert(told)
                case ("removed", str(name)):
                    facts.pop(deployment_name(name), None)
                    unreadable.discard(name)
                    last.removed(name)
                case ("malformed", str(name)):
                    unreadable.add(name)
                    last.malformed(name, "no score")
                case ("listed",):
                    is_listed = True
                    last.replayed()
                case ("lost",):
                    is_listed = False
                    last.lost("reset")
                    last.replay_started()
                case ("others",):
                    held.replay_others()
                case ("others lost",):
                    held.others[0].lost("reset")
                case _:
                    await asyncio.sleep(0)
            if held.recovery.converged:
                assert is_listed
                assert held.state.deployments == facts
                assert held.state.unreadable_deployments == unreadable
                assert held.state.unwanted.pairs == {pair(deployment=name) for name in NAMES if name not in facts}
        assert held.recovery.converged


async def test_its_loop_never_ends(held: Held) -> None:
    """One that does would end the operator."""
    held.list("web")
    held.replay_others()
    async with running(held.last.run()) as loop:
        await turn()
        assert held.recovery.converged
        assert not loop.done()
