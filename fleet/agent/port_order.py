"""Who waits for whom when host ports move between the services of one deployment. Pure.

A service whose port is still held by a container on its way out keeps its own old container running meanwhile. If they
wait for each other in a ring, as two services that swap their ports do, all of them let go at once; but not before the
replacement of each has been made.
"""

from collections.abc import Sequence

from fleet.agent.model import Container, HostPort, ServiceSpec
from fleet.agent.steps import Wanted, right_container


def holders(spec: ServiceSpec, wanted: Wanted, containers: Sequence[Container]) -> list[Container]:
    """The containers of the deployment's other slots that hold a port which `spec` needs, and are on their way out."""
    return [
        c
        for c in containers
        if c.active and c.slot != spec.slot and c.host_ports & spec.host_ports and not _stays(c, wanted)
    ]


def may_let_go(spec: ServiceSpec, wanted: Wanted, containers: Sequence[Container]) -> bool:
    """Whether this slot's old container may be stopped, as far as ports of its replacement are concerned."""
    waits_for = {
        service: {c.slot.service for c in holders(each, wanted, containers)} for service, each in wanted.items()
    }
    us = spec.service.name
    ring = {service for service in _reach(us, waits_for) if us in _reach(service, waits_for)}
    return waits_for[us] <= ring and all(_is_made(wanted[service], containers) for service in ring)


def to_probe(spec: ServiceSpec, wanted: Wanted, containers: Sequence[Container]) -> frozenset[HostPort]:
    """The ports of `spec` that no container of its own deployment is about to free."""
    leaving = [c for c in containers if c.active and c.slot == spec.slot] + holders(spec, wanted, containers)
    return spec.host_ports.difference(*(c.host_ports for c in leaving))


def _stays(container: Container, wanted: Wanted) -> bool:
    spec = wanted.get(container.slot.service)
    return spec is not None and spec.digest == container.digest


def _is_made(spec: ServiceSpec, containers: Sequence[Container]) -> bool:
    return right_container(spec, [c for c in containers if c.slot == spec.slot]) is not None


def _reach(start: str, edges: dict[str, set[str]]) -> set[str]:
    """What can be reached from `start` in one step or more."""
    found: set[str] = set()
    ahead = {start}
    while ahead:
        ahead = {there for here in ahead for there in edges.get(here, ())} - found
        found |= ahead
    return found
