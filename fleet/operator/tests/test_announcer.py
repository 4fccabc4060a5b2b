"""Events: told once each, best effort, and never in the way of anything."""

import asyncio

import pytest
from structlog.testing import capture_logs

from fleet.errors import PeerAway, PeerRefused
from fleet.operator import announcer as module
from fleet.operator.announcer import Announcer
from fleet.operator.sweep import HeldSweep
from fleet.operator.tests.samples import D1, WEB, deployment, device
from fleet.operator.tests.turns import running, turn
from fleet.operator.tests.world import World
from fleet.wire import deployment_name

HELD = HeldSweep("3f2a9c01b7de", 30, ("d1.web",), "30 of 40 keys would go")


def tell_all(announcer: Announcer) -> None:
    announcer.device_registered(D1)
    announcer.write_failed(WEB, "maximum message size exceeded")
    announcer.sweep_held(WEB, HELD)


@pytest.mark.rule("E1")
async def test_what_is_told(world: World) -> None:
    """Each Event stands on its object: kind, name and uid, a type, a reason and a sentence."""
    tell_all(world.announcer)
    async with running(world.announcer.run()):
        await turn()
    told = {str(event["reason"]): event for event in world.kube.events.values()}
    assert {reason: event["type"] for reason, event in told.items()} == {
        "Registered": "Normal",
        "WriteFailed": "Warning",
        "SweepHeld": "Warning",
    }
    objects = {reason: event["involvedObject"] for reason, event in told.items()}
    assert all(isinstance(thing, dict) and thing["namespace"] == "ns" for thing in objects.values())
    assert {reason: (thing["kind"], thing["name"], thing["uid"]) for reason, thing in objects.items()} == {  # type: ignore[index] # a dict, as above
        "Registered": ("Device", "d1", ""),
        "WriteFailed": ("Deployment", "web", "web-uid"),
        "SweepHeld": ("Deployment", "web", "web-uid"),
    }
    assert "maximum message size exceeded" in str(told["WriteFailed"]["message"])
    assert HELD.id in str(told["SweepHeld"]["message"])


@pytest.mark.rule("E1")
async def test_a_restart_and_a_twin_tell_nothing_anew(world: World) -> None:
    """Whoever tells the same gives it the same name, and the API server has it already; that is no loss."""
    for _ in range(2):
        announcer = Announcer(world.state, world.kube, world.metrics)
        tell_all(announcer)
        async with running(announcer.run()):
            await turn()
    assert (len(world.kube.verbs("create-event")), len(world.kube.events)) == (6, 3)
    assert world.count("fleet_events_lost_total") == 0


@pytest.mark.rule("E1")
async def test_the_reasons_numbers_make_no_new_event(world: World) -> None:
    """The same set of keys is the same sweep, whatever else the bucket holds by now."""
    world.announcer.sweep_held(WEB, HELD)
    world.announcer.sweep_held(WEB, HeldSweep(HELD.id, HELD.count, HELD.examples, "30 of 4000 keys would go"))
    async with running(world.announcer.run()):
        await turn()
    assert len(world.kube.events) == 1


@pytest.mark.rule("E1")
async def test_a_deployment_that_was_made_again_is_told_anew(world: World) -> None:
    """The name is the same and the object is not."""
    async with running(world.announcer.run()):
        world.announcer.sweep_held(WEB, HELD)
        world.state.upsert_deployment(deployment(uid="another"))
        world.announcer.sweep_held(WEB, HELD)
        await turn()
    assert len(world.kube.events) == 2


async def test_what_is_gone_is_told_nothing(world: World) -> None:
    """There is no Deployment to stand on."""
    world.announcer.sweep_held(deployment_name("gone"), HELD)
    async with running(world.announcer.run()):
        await turn()
    assert world.kube.calls == []


@pytest.mark.rule("E2")
@pytest.mark.parametrize("error", [PeerAway("503"), PeerRefused("403")])
async def test_an_event_that_cannot_be_written_is_dropped(world: World, error: PeerAway | PeerRefused) -> None:
    """Counted, logged, and the next one is tried."""
    world.kube.refuse = lambda _: error if len(world.kube.calls) == 1 else None
    tell_all(world.announcer)
    with capture_logs() as logs:
        async with running(world.announcer.run()):
            await turn()
    assert len(world.kube.events) == 2
    assert world.count("fleet_events_lost_total") == 1
    assert [line["event"] for line in logs] == ["event_lost"]


@pytest.mark.rule("E2")
async def test_more_than_can_wait_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the API server is away nothing piles up, and nobody who tells something waits."""
    monkeypatch.setattr(module, "_WAITING_MAX", 2)
    announcer = Announcer(world.state, world.kube, world.metrics)
    for number in range(5):
        world.state.upsert_device(device(f"x{number}"))
        announcer.write_failed(WEB, f"reason {number}")
    async with running(announcer.run()):
        await turn()
    assert len(world.kube.events) == 2
    assert world.count("fleet_events_lost_total") == 3


async def test_it_waits_for_something_to_tell(world: World) -> None:
    """An Event goes out as soon as there is one."""
    async with running(world.announcer.run()):
        await turn()
        assert world.kube.calls == []
        world.announcer.device_registered(D1)
        await asyncio.sleep(0)
        await turn()
    assert len(world.kube.events) == 1
