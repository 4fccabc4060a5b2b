"""Two operators: after somebody else's patch everything is followed first, so that no status goes back."""

import asyncio
from collections.abc import Mapping

import pytest

from fleet.errors import PeerAway
from fleet.operator.tests.samples import WEB, deployment, device
from fleet.operator.tests.ticking import Ticker, patched_by_another
from fleet.operator.tests.turns import running, turn
from fleet.operator.tests.world import World


@pytest.fixture
def ticker(world: World) -> Ticker:
    return Ticker(world)


@pytest.mark.rule("S13")
async def test_the_first_tick_is_caught_up_first(world: World, ticker: Ticker) -> None:
    """Somebody may have patched just before we came: nothing is patched before all that was stored is known."""
    ticker.behind = PeerAway("not caught up within 5 s")
    await ticker.tick()
    assert ticker.patches == []
    ticker.behind = None
    await ticker.tick()
    assert (len(ticker.patches), ticker.asked) == (1, 2)
    ticker.show()
    world.state.upsert_device(device("d2"))
    await ticker.tick()
    assert (len(ticker.patches), ticker.asked) == (2, 2)


@pytest.mark.rule("S13")
async def test_a_foreign_patch_is_followed_first(world: World, ticker: Ticker) -> None:
    """Another operator patched: before the next patch every bucket is followed up to what was stored by then."""
    await ticker.tick()
    ticker.show()
    await patched_by_another(world, matched=7)
    ticker.show()
    ticker.gate.clear()
    async with running(ticker.tick()):
        await turn()
        assert (ticker.patches, ticker.asked) == ([], 2)
        ticker.gate.set()
        await turn()
    assert len(ticker.patches) == 1


@pytest.mark.rule("S13")
async def test_a_foreign_patch_during_the_tick(world: World, ticker: Ticker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had not been sent by then waits for the next tick, which is caught up first."""
    monkeypatch.setattr("fleet.operator.status_ticker._PATCHES_AT_ONCE_MAX", 1)
    world.objects(deployment("api"))
    world.kube.gate.clear()
    async with running(ticker.tick()):
        await turn()
        assert [call.what for call in ticker.patches] == ["deployments/api"]
        world.state.upsert_deployment(deployment(version="11", status={"aggregate": {"matched": 7}}))
        ticker.heard(WEB, status_changed=True)
        world.kube.gate.set()
        await turn()
    assert [call.what for call in ticker.patches] == ["deployments/api"]
    assert WEB in world.state.dirty_status


@pytest.mark.rule("S13")
async def test_a_conflict_is_a_foreign_patch(world: World, ticker: Ticker) -> None:
    """Whoever was faster may have known more."""
    await ticker.tick()
    ticker.show()
    await patched_by_another(world, matched=7)
    world.state.upsert_device(device("d2"))
    await ticker.tick()
    assert ticker.asked == 1
    ticker.show()
    await ticker.tick()
    assert (len(ticker.patches), ticker.asked) == (2, 2)


@pytest.mark.rule("S13")
async def test_a_foreign_patch_between_ours_and_its_answer(world: World, ticker: Ticker) -> None:
    """The watch shows our patch and then theirs while the answer to ours is still under way."""
    gate = asyncio.Event()
    patch_status = world.kube.patch_status

    async def slow(resource: str, name: str, patch: Mapping[str, object]) -> str:
        version = await patch_status(resource, name, patch)
        await gate.wait()
        return version

    world.kube.patch_status = slow  # type: ignore[method-assign,assignment] # for this test
    async with running(ticker.tick()):
        await turn()
        ticker.show()
        world.kube.patch_status = patch_status  # type: ignore[method-assign] # as above
        await patched_by_another(world, matched=7)
        ticker.show()
        gate.set()
        await turn()
    await ticker.tick()
    assert ticker.asked == 2


async def test_our_own_patch_is_no_foreign_one(world: World, ticker: Ticker) -> None:
    """Its echo asks for no catching up, whether it comes before or after the answer."""
    for number in range(3):
        await ticker.tick()
        ticker.show()
        world.state.upsert_device(device(f"x{number}"))
    assert (len(ticker.patches), ticker.asked) == (3, 1)
