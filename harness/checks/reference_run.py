"""The reference-run diff: a workload that was disturbed ends as the same workload does when nobody disturbs it.

    history of the clean run -> end_state -> Reference record in the history of the disturbed run
    history of the disturbed run -> end_state -> compared with it -> the first differences, in words

Unlike `reference`, which models what should be, nothing here knows what is right: two runs of one product are compared.
What differs between any two runs is taken out: times, revisions, uids (mapped to the names of the objects), and the
generation in a key's owner, for a key whose score is right keeps the one that it was written with (rule K1).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from fleet.canonical import Json, dumps, loads
from fleet.errors import WireError
from fleet.wire import DESIRED_STATE_BYTES_MAX, Bucket
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.checks.reference import World, witness_gap
from harness.history import History, KvEntry, Record, Reference, Resource

END_STATE_BYTES_MAX = 64 * 1024 * 1024
_TOLD_MAX = 3
_TIMES = frozenset({"lastTransitionTime", "at"})
_KEY, _REPORT = "desired-state", "device-state"
_NOTHING: Mapping[str, Json] = {}


def end_state(history: History) -> str:
    """What a history ended in, as canonical JSON: section -> name -> value.

    Sections: the keys of desired-state with owner and score, what devices reported, Deployments with spec and status,
    Devices with spec.
    """
    resources: dict[str, dict[str, Resource]] = {"Deployment": {}, "Device": {}}
    names: dict[str, str] = {}
    for resource in history.of(Resource):
        names[resource.uid] = f"an earlier {resource.name}"
        if resource.event == "deleted":
            resources[resource.kind].pop(resource.name, None)
        else:
            resources[resource.kind][resource.name] = resource
    names |= {r.uid: r.name for kept in resources.values() for r in kept.values()}
    keys: dict[str, Json] = {}
    for entry in history.of(KvEntry):
        if entry.bucket != Bucket.DESIRED_STATE:
            continue
        keys.pop(entry.key, None)
        if entry.operation == "put":
            keys[entry.key] = _value_of(entry, names)
    reports: dict[str, Json] = {
        f"{device}.{deployment}": {
            "owner": names.get(report.owner.uid, "nobody"),
            "phase": report.phase.value,
            "last_error": report.last_error,
        }
        for (device, deployment), report in World.at_end(history).reports.items()
    }
    objects = {kind: {name: _object(r, names) for name, r in kept.items()} for kind, kept in resources.items()}
    return dumps({_KEY: keys, _REPORT: reports, **objects}).decode()


@check
def equals_reference(history: History) -> Finding:
    """`equals-reference`: the end state is that of the reference run, which stands in the same history."""
    name = "equals-reference"
    found = next(reversed(list(history.numbered(Reference))), None)
    if found is None:
        return inconclusive(name, "there is no reference run to compare with")
    line, reference = found
    expected = _measure(reference)
    why = expected if isinstance(expected, str) else witness_gap(history)
    if isinstance(expected, str) or why is not None:
        return inconclusive(name, str(why), [line])
    differences = list(_differences(_sections(end_state(history)), expected, reference.run))
    if not differences:
        counts = ", ".join(f"{len(names)} of {section}" for section, names in sorted(expected.items()))
        return passed(name, f"the world ended as in {reference.run}: {counts}", [line])
    told = "; ".join(difference.words for difference in differences[:_TOLD_MAX])
    more = f"; and {len(differences) - _TOLD_MAX} more" if len(differences) > _TOLD_MAX else ""
    return failed(name, f"{told}{more}", [line, *_lines(history, differences)])


def _measure(reference: Reference) -> Mapping[str, Mapping[str, Json]] | str:
    """The end state to compare with, or in words why it is no measure."""
    if reference.trouble:
        return f"{reference.run} is no measure: {reference.trouble}"
    try:
        expected = _sections(reference.end_state)
    except WireError as e:
        return f"how {reference.run} ended cannot be read: {e}"
    return expected if any(expected.values()) else f"{reference.run} ended in an empty world"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two end states differ: the section, the name in it, and how."""

    section: str
    name: str
    words: str


def _differences(
    here: Mapping[str, Mapping[str, Json]], there: Mapping[str, Mapping[str, Json]], run: str
) -> Iterator[Difference]:
    for section in sorted(here.keys() | there.keys()):
        mine, theirs = here.get(section, _NOTHING), there.get(section, _NOTHING)
        for name in sorted(mine.keys() | theirs.keys()):
            what = f"{section} {name}"
            if name not in mine:
                yield Difference(section, name, f"{what} is missing")
            elif name not in theirs:
                yield Difference(section, name, f"{what} is there, and was not in {run}")
            elif (path := _first_unequal(mine[name], theirs[name])) is not None:
                where, a, b = path
                yield Difference(section, name, f"{what}: {where or 'its value'} is {a}, in {run} it was {b}")


def _first_unequal(a: Json, b: Json, where: str = "") -> tuple[str, str, str] | None:
    """The path to the first part that differs, and both of its values; None if there is none."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if (found := _first_unequal(a.get(key), b.get(key), f"{where}.{key}".lstrip("."))) is not None:
                return found
        return None
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        parts = (_first_unequal(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True)))
        return next((part for part in parts if part is not None), None)
    return None if a == b else (where, dumps(a).decode(), dumps(b).decode())


def _lines(history: History, differences: list[Difference]) -> list[int]:
    """The newest line about each of them."""
    newest: dict[tuple[str, str], int] = {}
    for number, record in enumerate(history.records, start=1):
        if (what := _about(record)) is not None:
            newest[what] = number
    wanted = ((difference.section, difference.name) for difference in differences)
    return sorted({newest[what] for what in wanted if what in newest})


def _about(record: Record) -> tuple[str, str] | None:
    match record:
        case KvEntry(bucket=Bucket.DESIRED_STATE):
            return _KEY, record.key
        case Resource():
            return record.kind, record.name
        case _:
            return None


def _sections(text: str) -> Mapping[str, Mapping[str, Json]]:
    """Raises WireError."""
    value = loads(text.encode(), size_bytes_max=END_STATE_BYTES_MAX)
    if not isinstance(value, dict) or not all(isinstance(names, dict) for names in value.values()):
        raise WireError("not an end state")
    return cast("Mapping[str, Mapping[str, Json]]", value)


def _value_of(entry: KvEntry, names: Mapping[str, str]) -> Json:
    try:
        value = loads(entry.value.encode(), size_bytes_max=DESIRED_STATE_BYTES_MAX)
    except WireError as e:
        return f"malformed: {e}"
    if isinstance(value, dict) and isinstance(owner := value.get("owner"), dict):
        value = {**value, "owner": names.get(str(owner.get("uid")), "nobody")}
    return value


def _object(resource: Resource, names: Mapping[str, str]) -> Json:
    value = {"spec": resource.spec, "status": resource.status, "deleting": resource.deleting}
    return _without_times(cast("Json", value), names)


def _without_times(value: Json, names: Mapping[str, str]) -> Json:
    """Conditions are told by their type, for their order means nothing."""
    if isinstance(value, dict):
        kept = {key: _without_times(part, names) for key, part in value.items() if key not in _TIMES}
        conditions = kept.get("conditions")
        if isinstance(conditions, list) and all(isinstance(c, dict) and "type" in c for c in conditions):
            kept["conditions"] = {str(cast("dict[str, Json]", c)["type"]): c for c in conditions}
        return kept
    if isinstance(value, list):
        return [_without_times(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
