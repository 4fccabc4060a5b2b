"""The agent is killed at each single point of a roll in which two services swap their ports."""

import pytest

from fleet.agent.model import ServiceSpec, spec_of
from fleet.agent.tests.fake_podman import LIFECYCLE, WEB, service
from fleet.agent.tests.sim.world import World


def _specs(image: str, **ports: int) -> dict[str, ServiceSpec]:
    return {name: spec_of(WEB, service(name, image, ports=[port]), LIFECYCLE) for name, port in ports.items()}


def _rolling() -> World:
    """All is settled at v1; v2 was just heard, with a third service that takes the port of a dropped one."""
    world = World(0)
    world.disk[WEB] = _specs("v1", a=80, b=81, c=82)
    world.start_agent()
    world.settle()
    world.disk[WEB] = _specs("v2", a=81, b=80, d=82)
    world.changed()
    return world


def _turns() -> int:
    world = _rolling()
    before = world.turns
    world.settle()
    return world.turns - before


@pytest.mark.rule("A1", "A10")
@pytest.mark.parametrize("kills", [1, 2])
def test_killed_at_every_point(kills: int) -> None:
    """However far it got, and killed once more as soon after: no rule is broken, and it ends as it should."""
    turns = _turns()
    assert turns > 50
    for at in range(turns):
        world = _rolling()
        for _ in range(kills):
            end = world.turns + at
            while world.turns < end and world.turn():
                pass
            world.kill_agent()
            world.start_agent()
        world.settle()
