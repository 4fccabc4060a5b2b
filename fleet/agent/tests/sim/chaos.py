"""What a seed deals: new desired states, deletions, deaths, removals, silence, taken ports, kills of the agent."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from fleet.agent.model import Container, ContainerState, spec_of
from fleet.agent.tests.fake_podman import BAD_VOLUME, LIFECYCLE, service
from fleet.agent.tests.sim.agent import Pauses
from fleet.agent.tests.sim.world import World
from fleet.wire import DeploymentName, Service, Volume, deployment_name

_PORTS = {deployment_name("web"): (81, 82, 83), deployment_name("db"): (91, 92)}
_SERVICES = ("one", "two", "three")
_IMAGES = ("v1", "v2", "v3")
_CALM_S = 700.0
"""Longer than two of the longest pauses."""
_BEHAVIOURS = ("", "", "", "", "deaf", "crash", "refuse")


class Chaos:
    """Ends with every fault over and an agent that lives."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(f"{seed}/chaos")  # noqa: S311 - a simulation, and it must repeat
        self._kinds: list[Callable[[], None]] = [
            *[self._desired] * 8,
            *[self._restart_agent] * 3,
            *[self._power_goes] * 2,
            self._delete,
            self._same_again,
            self._dies,
            self._is_removed,
            self._pauses,
            self._unpauses,
            self._podman_goes,
            self._podman_comes,
            self._port_taken,
            self._port_freed,
            self._image_goes,
            self._image_comes,
        ]

    def run(self) -> Pauses:
        chance = self._chance
        self._desired()
        self._desired()
        self._world.changed()
        for _ in range(chance.randint(6, 24)):
            # Often in the middle of something, now and then after a pause has grown.
            yield chance.choice((0.01, 0.1, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 80.0)) * chance.random()
            kind = chance.choice(self._kinds)
            self._world.tell("chaos", kind.__name__.strip("_"))
            kind()
            self._world.changed()
            if self._world.agent is None:
                yield 0.2 + chance.random()
                self._world.start_agent()
        self._calm_down()
        yield _CALM_S
        self._world.judge.calm(self._world.wanted)
        self._heal()

    def _calm_down(self) -> None:
        """What cannot be made stays so, and what crashes; nothing else goes wrong any more."""
        podman = self._world.podman
        self._world.tell("chaos", "calms down")
        podman.away = False
        podman.strangers.clear()
        for container in self._in_state(ContainerState.OTHER):
            # Whoever paused one that is not wanted any more never comes back to it.
            spec = self._world.disk.get(container.slot.deployment, {}).get(container.slot.service)
            if spec is not None and spec.digest == container.digest:
                podman.put(container.id, ContainerState.RUNNING)
        self._world.changed()

    def _heal(self) -> None:
        podman = self._world.podman
        self._world.tell("chaos", "is over")
        podman.healed = True
        podman.missing_images.clear()
        for name, specs in self._world.disk.items():
            # What no runtime can make is mended by a new desired state, as in real life.
            if any(spec.service.volumes for spec in specs.values()):
                self._put(name, [replace(spec.service, volumes=()) for spec in specs.values()])
        self._world.changed()

    def _desired(self) -> None:
        chance = self._chance
        name = chance.choice(list(_PORTS))
        ports = chance.sample(_PORTS[name], len(_PORTS[name]))
        services = []
        for each in chance.sample(_SERVICES, chance.randint(1, len(_SERVICES))):
            taken = [ports.pop()] if ports and chance.random() < 0.6 else []
            made = service(each, chance.choice(_IMAGES), does=chance.choice(_BEHAVIOURS), ports=taken)
            bad = chance.random() < 0.05
            services.append(replace(made, volumes=(Volume(BAD_VOLUME, "/data"),)) if bad else made)
        self._put(name, services)

    def _put(self, name: DeploymentName, services: list[Service]) -> None:
        specs = [spec_of(name, each, LIFECYCLE) for each in services]
        self._world.tell(name, [(s.service.name, s.service.image, s.service.command, s.host_ports) for s in specs])
        self._world.disk[name] = {spec.service.name: spec for spec in specs}
        self._ordered_anew(name)

    def _ordered_anew(self, name: DeploymentName) -> None:
        agent = self._world.agent
        if agent is not None:
            agent.memories.update({s: m.ordered_anew() for s, m in agent.memories.items() if s.deployment == name})

    def _delete(self) -> None:
        if self._world.disk:
            name = self._chance.choice(sorted(self._world.disk))
            self._world.disk[name] = {}
            self._ordered_anew(name)

    def _same_again(self) -> None:
        self._world.disk.update({name: dict(specs) for name, specs in self._world.disk.items()})

    def _restart_agent(self) -> None:
        self._world.kill_agent()

    def _power_goes(self) -> None:
        self._world.kill_agent()
        # Podman's word for those that ran when the power went: 4.3 says created.
        state = self._chance.choice((ContainerState.CREATED, ContainerState.EXITED))
        for container in self._in_state(ContainerState.RUNNING, ContainerState.OTHER):
            self._world.podman.put(container.id, state)

    def _dies(self) -> None:
        for container in self._some(ContainerState.RUNNING):
            self._world.podman.end(container.id, 137)

    def _is_removed(self) -> None:
        for container in self._some(*ContainerState):
            self._world.judge.vanished(container)
            with suppress(KeyError):
                del self._world.podman.boxes[container.id]

    def _pauses(self) -> None:
        for container in self._some(ContainerState.RUNNING):
            self._world.podman.put(container.id, ContainerState.OTHER)

    def _unpauses(self) -> None:
        for container in self._some(ContainerState.OTHER):
            self._world.podman.put(container.id, ContainerState.RUNNING)

    def _podman_goes(self) -> None:
        self._world.podman.away = True

    def _podman_comes(self) -> None:
        self._world.podman.away = False

    def _port_taken(self) -> None:
        ports = [(port, "TCP") for ports in _PORTS.values() for port in ports]
        free = sorted(set(ports).difference(self._world.podman.taken(frozenset(ports))))
        self._world.podman.strangers.update(self._chance.sample(free, min(1, len(free))))

    def _port_freed(self) -> None:
        self._world.podman.strangers.clear()

    def _image_goes(self) -> None:
        self._world.podman.missing_images.add(self._chance.choice(_IMAGES))

    def _image_comes(self) -> None:
        self._world.podman.missing_images.clear()

    def _in_state(self, *states: ContainerState) -> list[Container]:
        boxes = self._world.podman.boxes.values()
        return [box.listed for box in boxes if box.listed.state in states]

    def _some(self, *states: ContainerState) -> list[Container]:
        there = self._in_state(*states)
        return self._chance.sample(there, min(1, len(there)))
