"""When a key was wanted, by the versions of its Deployment and its Device.

Nobody tells the very instant at which a change of an object took effect, so it is an interval: `from_s` at the earliest
and `to_s` at the latest. The API server's own stamps of the requests make that milliseconds; where there is no request
it is some seconds before the harness saw it. Whoever judges takes the end that is in favour of the product.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.reference import Key, selects
from harness.history import History, Request, Resource

# A version is shown to every watch well within this time.
_SHOWN_WITHIN_S = 5.0
_PLURALS = {"Deployment": "deployments", "Device": "devices"}
_WRITES = frozenset({"create", "update", "patch", "delete"})
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Change:
    """One version of an object, on the line where the harness saw it; `resource` is None if the object is gone."""

    line: int
    kind: str
    from_s: float
    to_s: float
    resource: Resource | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a key was wanted, or was not, between two changes. Infinity stands where there is none."""

    wanted: bool
    begins_from_s: float
    begins_to_s: float
    ends_from_s: float
    ends_to_s: float
    lines: tuple[int, ...]


class Timeline:
    """The changes of every object, and what follows from them for a key."""

    def __init__(self, history: History) -> None:
        requests: dict[tuple[str, str], list[Request]] = defaultdict(list)
        for request in history.of(Request):
            if request.verb in _WRITES and not request.subresource and request.code in _OK:
                requests[request.resource, request.name].append(request)
        self._changes: dict[tuple[str, str], list[Change]] = defaultdict(list)
        for line, resource in history.numbered(Resource):
            plural = _PLURALS[resource.kind]
            # A create may be logged without the name.
            from_s, to_s = _took_effect(resource.at_s, [*requests[plural, resource.name], *requests[plural, ""]])
            kept = None if resource.event == "deleted" else resource
            self._changes[resource.kind, resource.name].append(Change(line, resource.kind, from_s, to_s, kept))

    @property
    def keys(self) -> list[Key]:
        """Every pair of a Device and a Deployment that ever were."""
        deployments = [name for kind, name in self._changes if kind == "Deployment"]
        return [(name, deployment) for kind, name in self._changes if kind == "Device" for deployment in deployments]

    def of(self, kind: str, name: str) -> Sequence[Change]:
        return self._changes.get((kind, name), ())

    def stretches(self, key: Key) -> list[Stretch]:
        """From before all times to after all times, unwanted and wanted in turn; unwanted at first."""
        now: dict[str, Resource | None] = {"Device": None, "Deployment": None}
        found: list[Stretch] = []
        wanted, begins = False, (-math.inf, -math.inf)
        lines: tuple[int, ...] = ()
        changes = [*self.of("Device", key[0]), *self.of("Deployment", key[1])]
        for change in sorted(changes, key=lambda change: change.line):
            now[change.kind] = change.resource
            device, deployment = now["Device"], now["Deployment"]
            selected = device is not None and deployment is not None and selects(deployment, device)
            if selected != wanted:
                ends = change.from_s, change.to_s
                found.append(Stretch(wanted, *begins, *ends, (*lines, change.line)))
                wanted, begins, lines = selected, ends, (change.line,)
        return [*found, Stretch(wanted, *begins, math.inf, math.inf, lines)]


def _took_effect(seen_s: float, requests: Sequence[Request]) -> tuple[float, float]:
    near = [r for r in requests if seen_s - _SHOWN_WITHIN_S <= r.requested_s <= seen_s]
    if not near:
        return seen_s - _SHOWN_WITHIN_S, seen_s
    answered_s = max(seen_s if r.answered_s is None else r.answered_s for r in near)
    return min(r.requested_s for r in near), min(seen_s, answered_s)
