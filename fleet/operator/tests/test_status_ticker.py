"""The status tick: once a second while converged, only what changed, again after a conflict."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from fleet.errors import Conflict, PeerAway
from fleet.kube.client import KubeClient
from fleet.operator.decide import decide_status
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import at, deployment, device
from fleet.operator.tests.turns import converged, turn
from fleet.operator.writers import StatusTicker
from fleet.wire import deployment_name

WEB = deployment_name("web")


class Kube(KubeClient):
    """Stands for the API server's status subresource."""

    def __init__(self) -> None:
        self.patches: list[tuple[str, Mapping[str, object]]] = []
        self.answer: Callable[[], str] = lambda: "next"
        self.patched = asyncio.Event()

    async def patch_status(self, resource: str, name: str, patch: Mapping[str, object]) -> str:
        assert resource == "deployments"
        self.patches.append((name, patch))
        self.patched.set()
        return self.answer()


@pytest.fixture
def kube() -> Kube:
    return Kube()


@pytest.fixture
def ticker(state: FleetState, recovery: Recovery, kube: Kube) -> StatusTicker:
    return StatusTicker(state, recovery, kube, Metrics(), now=lambda: at(0))


async def test_a_tick_patches_what_changed(ticker: StatusTicker, kube: Kube, state: FleetState) -> None:
    """One fenced patch, and none more until something changes."""
    await ticker.tick()
    ((name, patch),) = kube.patches
    assert name == "web"
    assert patch["metadata"] == {"resourceVersion": "10"}
    await ticker.tick()
    assert len(kube.patches) == 1
    assert not state.dirty_status


async def test_no_patch_before_convergence(ticker: StatusTicker, kube: Kube, recovery: Recovery) -> None:
    """Without every source current nothing is patched, and nothing is forgotten."""
    converged(recovery, holds=False)
    await ticker.tick()
    assert kube.patches == []
    converged(recovery)
    await ticker.tick()
    assert len(kube.patches) == 1


async def test_an_unchanged_status_is_not_sent(ticker: StatusTicker, kube: Kube, state: FleetState) -> None:
    """What the informer's copy has already costs no request."""
    status = decide_status(deployment(), state.tallies[WEB], at(0))
    state.upsert_deployment(deployment(status=status))
    await ticker.tick()
    assert kube.patches == []


async def test_a_status_waits_for_its_echo(ticker: StatusTicker, kube: Kube, state: FleetState) -> None:
    """Patched once, it is decided again only after the informer showed the new version."""
    await ticker.tick()
    state.upsert_device(device("d2"))
    await ticker.tick()
    assert len(kube.patches) == 1
    state.upsert_deployment(deployment(version="11"))
    ticker.heard(WEB)
    await ticker.tick()
    assert kube.patches[1][1]["metadata"] == {"resourceVersion": "11"}


async def test_a_new_list_clears_the_echo(ticker: StatusTicker, kube: Kube) -> None:
    """A list that does not show the patch makes it due again."""
    await ticker.tick()
    ticker.restarted()
    await ticker.tick()
    assert len(kube.patches) == 2


async def test_a_patch_that_changed_nothing_waits_for_no_echo(
    ticker: StatusTicker, kube: Kube, state: FleetState
) -> None:
    """The same version back means that no event will come: the next change is patched all the same."""
    kube.answer = lambda: "10"
    await ticker.tick()
    state.upsert_device(device("d2"))
    await ticker.tick()
    assert len(kube.patches) == 2


@pytest.mark.parametrize("error", [Conflict("moved on"), PeerAway("no answer")])
async def test_a_failed_patch_is_due_again(ticker: StatusTicker, kube: Kube, error: Exception) -> None:
    """A conflict or a time-out costs one tick."""

    def refuse() -> str:
        raise error

    kube.answer = refuse
    await ticker.tick()
    kube.answer = lambda: "next"
    await ticker.tick()
    await ticker.tick()
    assert len(kube.patches) == 2


async def test_a_deployment_that_is_gone_is_not_patched(ticker: StatusTicker, kube: Kube, state: FleetState) -> None:
    """Removed between two ticks: nothing to patch, no error."""
    state.dirty_status.add(deployment_name("gone"))
    state.remove_deployment(WEB)
    await ticker.tick()
    assert kube.patches == []


async def test_the_first_tick_follows_convergence_at_once(ticker: StatusTicker, kube: Kube) -> None:
    """The loop waits for convergence and not for a second to pass; the tick is late only when it hangs."""
    task = asyncio.create_task(ticker.run())
    await turn()
    assert kube.patches == []
    assert ticker.late_s == 0.0
    ticker.wake()
    async with asyncio.timeout(0.5):
        await kube.patched.wait()
    assert ticker.late_s == 0.0
    ticker._due_at = asyncio.get_running_loop().time() - 3
    assert 3 <= ticker.late_s < 4
    task.cancel()
    await asyncio.wait({task})


async def test_it_ticks_until_convergence_is_revoked(
    ticker: StatusTicker, kube: Kube, recovery: Recovery, state: FleetState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick follows the other a second later; with a source lost the loop waits for convergence, and is not late."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def short(delay_s: float) -> None:
        waits.append(delay_s)
        await sleep(0)

    monkeypatch.setattr("asyncio.sleep", short)
    task = asyncio.create_task(ticker.run())
    ticker.wake()
    await turn()
    state.upsert_deployment(deployment(version="11", generation=2))
    ticker.heard(WEB)
    await turn()
    assert len(kube.patches) == 2
    assert max(waits) == pytest.approx(1.0, abs=0.2)
    converged(recovery, holds=False)
    await turn()
    assert not ticker._converged.is_set()
    assert ticker._due_at is None
    task.cancel()
    await asyncio.wait({task})


async def test_a_wake_up_without_convergence_starts_no_tick(
    ticker: StatusTicker, recovery: Recovery, kube: Kube
) -> None:
    """Progress of single sources is not convergence."""
    converged(recovery, holds=False)
    task = asyncio.create_task(ticker.run())
    ticker.wake()
    await turn()
    assert not ticker._converged.is_set()
    assert kube.patches == []
    task.cancel()
    await asyncio.wait({task})
