"""What can be done next in a slot, and what a slot looks like when that is decided. Pure.

A slot is one service of one deployment on this device; at most one container runs in it at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fleet.agent.model import Container, ContainerState, HostPort, ServiceSpec


@dataclass(frozen=True, slots=True)
class Prepare:
    """See to it that the image is there."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class Create:
    """Make the container; it does not run yet."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop it, unless one of `probe` cannot be bound now: then this is Reason.PORT_TAKEN and it runs on."""

    container: Container
    probe: frozenset[HostPort] = frozenset()


@dataclass(frozen=True, slots=True)
class Start:
    container: Container


@dataclass(frozen=True, slots=True)
class Remove:
    container: Container


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until this time, or until something changes; infinite if only a change can help."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """All is as it should be."""


Deed: TypeAlias = Prepare | Create | Stop | Start | Remove
"""A step that touches the runtime."""

Step: TypeAlias = Deed | Wait | Rest

Wanted: TypeAlias = Mapping[str, ServiceSpec]
"""What one deployment is to run, by service; empty if it is to be torn down."""

_ORDER = {ContainerState.RUNNING: 0, ContainerState.OTHER: 1}


def right_container(spec: ServiceSpec | None, own: Sequence[Container]) -> Container | None:
    """The container of this slot that is to run: the one of the wanted digest.

    Of several it is the one that runs, else the first by id. What a runtime tells of its settings plays no part.
    """
    right = [c for c in own if spec is not None and c.digest == spec.digest]
    return min(right, key=lambda c: (_ORDER.get(c.state, len(_ORDER)), c.id), default=None)


def last_good(spec: ServiceSpec | None, own: Sequence[Container]) -> Container | None:
    """The container of this slot that goes on until the wanted one is made: an older one, alone in its slot.

    We stop it for its replacement only once that was made. So if it does not run, it was not we who stopped it.
    """
    return own[0] if spec is not None and len(own) == 1 and own[0].digest != spec.digest else None
