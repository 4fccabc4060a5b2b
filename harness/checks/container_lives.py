"""What ran on the devices, by podman's own events: which containers there were, in which slot, and when each ran. Pure.

create   start ===run=== died   start ==run== (power cut)   start ====run==== died   remove
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.history import ContainerEvent, History, Process

# By rule A2 of the contract.
_LABEL = "dev.fleetproof."
_ASIDE = ("exec", "health")
"""What podman tells of somebody who looks into a container."""


class Slot(NamedTuple):
    """One service of one deployment on one device: there at most one container runs at any time."""

    device: str
    deployment: str
    service: str

    def __str__(self) -> str:
        return f"{self.deployment}/{self.service} on {self.device}"


@dataclass(frozen=True, slots=True)
class Happened:
    line: int
    at_s: float
    """By podman's own stamp."""


@dataclass(frozen=True, slots=True)
class Run:
    """From a start to the end of it, None while it goes on. `exit_code` is not known of what a power cut ended."""

    began: Happened
    ended: Happened | None = None
    exit_code: int | None = None

    def at(self, at_s: float) -> bool:
        """Whether it ran then."""
        return self.began.at_s <= at_s and (self.ended is None or at_s < self.ended.at_s)


@dataclass(slots=True)
class Life:
    """Of one container. `created` is None if nobody saw that, `removed` while it is there."""

    id: str
    slot: Slot
    image: str
    digest: str
    created: Happened | None = None
    removed: Happened | None = None
    runs: list[Run] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """At the end of the history."""
        return bool(self.runs) and self.runs[-1].ended is None

    @property
    def short(self) -> str:
        return self.id[:12]

    def ran_at(self, at_s: float) -> bool:
        return any(run.at(at_s) for run in self.runs)


def slot_of(event: ContainerEvent) -> Slot | None:
    """None for a container that no agent made."""
    named = [event.labels.get(f"{_LABEL}{what}") for what in ("device", "deployment", "service")]
    return Slot(*map(str, named)) if all(named) else None


def events(history: History) -> Iterator[tuple[int, ContainerEvent, Slot]]:
    """What was done to agents' containers, in the order in which it happened; not that somebody looked into one."""
    found = [
        (line, event, slot)
        for line, event in history.numbered(ContainerEvent)
        if not event.event.startswith(_ASIDE) and (slot := slot_of(event)) is not None
    ]
    # A line of podman's log is written a little after the stamp that it carries.
    yield from sorted(found, key=lambda each: (each[1].happened_s, each[0]))


def lives(history: History) -> list[Life]:
    """All containers of agents, in the order of their first event."""
    found: dict[str, Life] = {}
    cuts = _power_cuts(history)
    for line, event, slot in events(history):
        life = found.setdefault(event.id, Life(event.id, slot, event.image, event.labels.get(f"{_LABEL}digest", "")))
        now = Happened(line, event.happened_s)
        _end_by_power(life, cuts[event.host], until_s=now.at_s)
        match event.event:
            case "create":
                life.created = now
            case "start" if not life.running:
                life.runs.append(Run(now))
            case "died" | "remove" if life.running:
                life.runs[-1] = Run(life.runs[-1].began, now, event.exit_code)
        if event.event == "remove":
            life.removed = now
    hosts = {event.id: event.host for _, event, _ in events(history)}
    for life in found.values():
        _end_by_power(life, cuts[hosts[life.id]], until_s=float("inf"))
    return list(found.values())


def in_slot(history: History, device: str, slot: str) -> list[Life]:
    """The containers of one slot of a device, written `deployment/service`, in the order of their first event."""
    return [life for life in lives(history) if life.slot.device == device and written(life.slot) == slot]


def written(slot: Slot) -> str:
    return f"{slot.deployment}/{slot.service}"


def _power_cuts(history: History) -> defaultdict[str, list[Happened]]:
    """By host: the ends of its first process, which is named as it is."""
    hosts = {event.host for event in history.of(ContainerEvent)}
    cuts: defaultdict[str, list[Happened]] = defaultdict(list)
    for line, process in history.numbered(Process, lambda p: p.event == "exited" and p.name in hosts):
        cuts[process.name].append(Happened(line, process.at_s))
    return cuts


def _end_by_power(life: Life, cuts: list[Happened], *, until_s: float) -> None:
    if life.running:
        began = life.runs[-1].began
        cut = next((cut for cut in cuts if began.at_s < cut.at_s <= until_s), None)
        if cut is not None:
            life.runs[-1] = Run(began, cut)
