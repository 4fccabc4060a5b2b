"""Slots in words: `scene(spec, right(...), other(...))`."""

from fleet.agent.memory import Memory
from fleet.agent.model import Container, ContainerState, HostPort, ServiceSpec, Slot, spec_of
from fleet.agent.reconcile import Scene
from fleet.agent.tests.fake_podman import LIFECYCLE, WEB, service
from fleet.wire import Service

NOW_S = 1000.0
CREATED, RUNNING, EXITED, OTHER = (
    ContainerState.CREATED,
    ContainerState.RUNNING,
    ContainerState.EXITED,
    ContainerState.OTHER,
)


def spec(image: str = "v2", name: str = "one", *ports: int) -> ServiceSpec:
    return of(service(name, image, ports=ports))


def of(made: Service) -> ServiceSpec:
    return spec_of(WEB, made, LIFECYCLE)


def box(made: ServiceSpec, state: ContainerState, id_: str = "", code: int | None = None) -> Container:
    """The container that was made of it."""
    id_ = id_ or f"{made.service.name}-{made.service.image}"
    ports: frozenset[HostPort] = made.host_ports
    return Container(id_, f"name-{id_}", made.slot, made.digest, state, code, ports)


def scene(
    wanted: ServiceSpec | list[ServiceSpec] | None,
    *containers: Container,
    memory: Memory | None = None,
    now_s: float = NOW_S,
    slot: Slot | None = None,
) -> Scene:
    """Of the first wanted service, or of service `one`."""
    specs = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    slot = slot or (specs[0].slot if specs else Slot(WEB, "one"))
    return Scene(slot, {s.service.name: s for s in specs}, containers, memory or Memory(), now_s)
