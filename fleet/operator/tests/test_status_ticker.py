"""The status tick: once a second while converged, only what changed, and fenced."""

import asyncio

import pytest

from fleet.errors import Conflict, NotFound, PeerAway, PeerError, PeerRefused
from fleet.operator.status import Trouble, decide_status
from fleet.operator.tests.samples import D1, WEB, at, deployment, device, pair, report
from fleet.operator.tests.ticking import Ticker
from fleet.operator.tests.turns import DEADLINE_S, Clock, converged, running, turn
from fleet.operator.tests.world import World
from fleet.wire import deployment_name


@pytest.fixture
def ticker(world: World) -> Ticker:
    return Ticker(world)


@pytest.mark.rule("S12")
async def test_a_tick_patches_what_changed(world: World, ticker: Ticker) -> None:
    """One merge patch at the version that it was decided against, and none more until something changes."""
    await ticker.tick()
    (call,) = ticker.patches
    assert call.what == "deployments/web"
    assert isinstance(call.body, dict)
    assert call.body["metadata"] == {"resourceVersion": "10"}
    ticker.show()
    await ticker.tick()
    assert len(ticker.patches) == 1
    assert not world.state.dirty_status


@pytest.mark.rule("S12")
async def test_a_restart_in_an_unchanged_world_patches_nothing(world: World, ticker: Ticker) -> None:
    """What the informer's copy has already costs no request, whatever the time is."""
    await ticker.tick()
    ticker.show()
    again = Ticker(world)
    world.state.dirty_status.add(WEB)
    await again.tick()
    assert len(ticker.patches) == 1


@pytest.mark.rule("R3")
async def test_no_patch_before_convergence(world: World, ticker: Ticker) -> None:
    """Without every source current nothing is patched, and nothing is forgotten."""
    converged(world.recovery, holds=False)
    await ticker.tick()
    assert (ticker.patches, ticker.asked) == ([], 0)
    converged(world.recovery)
    await ticker.tick()
    assert len(ticker.patches) == 1


async def test_a_status_waits_for_its_echo(world: World, ticker: Ticker) -> None:
    """Patched once, it is decided again only after the informer showed the new version."""
    await ticker.tick()
    world.state.upsert_device(device("d2"))
    await ticker.tick()
    assert len(ticker.patches) == 1
    ticker.show()
    await ticker.tick()
    assert isinstance(ticker.patches[1].body, dict)
    assert ticker.patches[1].body["metadata"] == {"resourceVersion": "100"}


async def test_an_echo_that_was_faster_is_enough(world: World, ticker: Ticker) -> None:
    """The watch shows the patch before its answer is there: the next change is patched all the same."""
    world.kube.gate.clear()
    async with running(ticker.tick()):
        await turn()
        stored = deployment(version="50", status={"aggregate": {}})
        world.kube.put(stored)
        ticker.heard(WEB, status_changed=True)
        world.kube.refuse = lambda _: None
        world.kube.put(deployment())
        world.kube.gate.set()
        await turn()
    assert len(ticker.patches) == 1
    assert world.state.dirty_status == {WEB}
    ticker.show()
    world.state.upsert_device(device("d2"))
    await ticker.tick()
    assert len(ticker.patches) == 2


async def test_a_new_list_clears_the_echo(world: World, ticker: Ticker) -> None:
    """A list that does not show the patch makes it due again, and somebody else may have patched meanwhile."""
    await ticker.tick()
    world.kube.put(deployment())
    ticker.restarted()
    await ticker.tick()
    assert (len(ticker.patches), ticker.asked) == (2, 2)


async def test_a_patch_that_changed_nothing_waits_for_no_echo(world: World, ticker: Ticker) -> None:
    """The same version back means that no event will come: the next change is patched all the same."""
    await ticker.tick()
    world.state.upsert_deployment(deployment(version="100"))
    ticker.heard(WEB, status_changed=False)
    await ticker.tick()
    assert world.count('fleet_status_patches_total{outcome="unchanged"}') == 1
    world.state.upsert_device(device("d2"))
    await ticker.tick()
    assert len(ticker.patches) == 3


@pytest.mark.rule("P2")
@pytest.mark.parametrize("error", [Conflict("moved on"), PeerAway("no answer"), PeerRefused("422")])
async def test_a_failed_patch_is_due_again(world: World, ticker: Ticker, error: PeerError) -> None:
    """A conflict or a time-out costs one tick."""
    world.kube.refuse = lambda _: error
    await ticker.tick()
    world.kube.refuse = lambda _: None
    await ticker.tick()
    await ticker.tick()
    assert len(ticker.patches) == 2
    assert world.count('fleet_status_patches_total{outcome="stored"}') == 1


async def test_a_deployment_that_is_gone_is_no_failure(world: World, ticker: Ticker) -> None:
    """The API server has it no more: the informer is about to say so; then there is nothing to patch, and no error."""
    world.kube.refuse = lambda call: NotFound(call.what)
    await ticker.tick()
    assert world.count('fleet_status_patches_total{outcome="failed"}') == 0
    world.state.dirty_status.add(deployment_name("gone"))
    world.state.remove_deployment(WEB)
    await ticker.tick()
    assert len(ticker.patches) == 1


@pytest.mark.rule("R8")
@pytest.mark.parametrize("mended", [False, True])
async def test_a_standstill_discards_what_was_decided(
    world: World, ticker: Ticker, monkeypatch: pytest.MonkeyPatch, *, mended: bool
) -> None:
    """The patches whose turn comes after it are not sent, also when everything is current again by then."""
    monkeypatch.setattr("fleet.operator.status_ticker._PATCHES_AT_ONCE_MAX", 1)
    world.objects(deployment("api"))
    world.kube.gate.clear()
    async with running(ticker.tick()):
        await turn()
        world.stand_still(5)
        if mended:
            world.standstill.check()
            converged(world.recovery)
        world.kube.gate.set()
        await turn()
    assert len(ticker.patches) == 1
    assert WEB in world.state.dirty_status
    assert len(world.stills) == 1


@pytest.mark.rule("L2")
async def test_an_undecided_status_is_looked_at_again(world: World, ticker: Ticker) -> None:
    """Nobody can know yet whether the device is silent: the status stays as it is, and due."""
    world.state.liveness.forget(D1)
    world.state.liveness.broken()
    world.state.report(pair(), report())
    await ticker.tick()
    assert ticker.patches == []
    assert world.state.dirty_status == {WEB}


async def test_trouble_goes_into_the_status(world: World, ticker: Ticker) -> None:
    """What a writer says of a Deployment stands in its Synced condition."""
    ticker.troubles["web"] = Trouble("WriteFailed", "too large")
    await ticker.tick()
    status = world.kube.objects["deployments"]["web"]["status"]
    expected = decide_status(
        deployment(), world.state.standings.tallies[WEB], at(0), Trouble("WriteFailed", "too large")
    )
    assert status == expected


@pytest.mark.rule("P2")
async def test_a_tick_gives_up_on_an_api_server_in_trouble(world: World, ticker: Ticker) -> None:
    """After some failures the rest waits; it comes first in the next tick, and all of it stays due."""
    names = [f"app-{n:02d}" for n in range(20)]
    world.objects(*(deployment(name) for name in names))
    world.kube.refuse = lambda call: PeerAway(call.what)
    await ticker.tick()
    tried = [call.what for call in ticker.patches]
    assert 8 <= len(tried) < 16
    assert len(world.state.dirty_status) == 21
    world.kube.calls.clear()
    await ticker.tick()
    assert not {call.what for call in ticker.patches} & set(tried[:5])


@pytest.mark.rule("P2")
async def test_refused_deployments_do_not_starve_the_others(world: World, ticker: Ticker) -> None:
    """However many are refused for reasons of their own, each other status has its turn."""
    world.objects(*(deployment(f"app-{n:02d}") for n in range(20)))
    world.kube.refuse = lambda call: None if call.what.endswith("/web") else PeerRefused(call.what)
    for _ in range(3):
        await ticker.tick()
    assert world.count('fleet_status_patches_total{outcome="stored"}') == 1


@pytest.mark.rule("P2")
async def test_the_pauses_of_ticks_that_give_up_grow(
    world: World, ticker: Ticker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second apart no more, until one gets through."""
    monkeypatch.setattr("fleet.backoff.random.uniform", lambda _, ceiling: ceiling)
    world.objects(*(deployment(f"app-{n:02d}") for n in range(20)))
    world.kube.refuse = lambda call: PeerAway(call.what)
    async with running(ticker.run()):
        ticker.wake()
        await clock.go_on(20)
        first = len(ticker.patches)
        await clock.go_on(12.5)
        assert len(ticker.patches) - first <= 3 * 15
        assert ticker.late_s == 0.0
        world.kube.refuse = lambda _: None
        await clock.go_on(7)
        assert world.count('fleet_status_patches_total{outcome="stored"}') == 21


@pytest.mark.rule("S12")
async def test_the_first_tick_follows_convergence_at_once(world: World, ticker: Ticker, clock: Clock) -> None:
    """The loop waits for convergence and not for a second to pass; then a second lies between two ticks."""
    async with running(ticker.run()):
        await turn()
        assert (ticker.patches, ticker.late_s) == ([], 0.0)
        ticker.wake()
        await turn()
        assert len(ticker.patches) == 1
        ticker.show()
        world.state.upsert_device(device("d2"))
        ticker.wake()
        await clock.go_on(0.9)
        assert len(ticker.patches) == 1
        await clock.go_on(0.2)
        assert len(ticker.patches) == 2
        assert ticker.late_s == 0.0


async def test_a_lost_source_ends_the_ticks(world: World, ticker: Ticker, clock: Clock) -> None:
    """The loop waits for convergence then, and is not late; the first tick after it follows at once."""
    async with running(ticker.run()):
        ticker.wake()
        await turn()
        ticker.show()
        converged(world.recovery, holds=False)
        world.state.upsert_device(device("d2"))
        await clock.go_on(1.1)
        ticker.wake()
        await clock.go_on(30)
        assert (len(ticker.patches), ticker.late_s) == (1, 0.0)
        converged(world.recovery)
        ticker.wake()
        await turn()
        assert len(ticker.patches) == 2


async def test_a_tick_that_hangs_is_late(world: World, ticker: Ticker, clock: Clock) -> None:
    """After ten seconds it is not slow any more."""
    world.kube.gate.clear()
    async with running(ticker.run()):
        ticker.wake()
        await turn()
        await clock.go_on(9)
        assert ticker.late_s == 0.0
        await clock.go_on(4)
        assert 2.9 < ticker.late_s < 4


@pytest.mark.rule("P3")
async def test_an_orderly_end_finishes_the_tick(world: World, ticker: Ticker, clock: Clock) -> None:
    """`finish` waits for the patch that has begun; no tick follows."""
    world.kube.gate.clear()
    async with running(ticker.run()):
        ticker.wake()
        await turn()
        finish = asyncio.create_task(ticker.finish())
        await turn()
        assert not finish.done()
        world.kube.gate.set()
        async with asyncio.timeout(DEADLINE_S):
            await finish
        assert world.count('fleet_status_patches_total{outcome="stored"}') == 1
        ticker.show()
        world.state.upsert_device(device("d2"))
        await clock.go_on(2)
    assert len(ticker.patches) == 1
