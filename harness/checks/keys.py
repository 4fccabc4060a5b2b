"""Checks on keys of desired-state over time: none is deleted that was wanted, none is missing for long."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import Key, stored_s, witness_gap
from harness.checks.timeline import Stretch, Timeline
from harness.history import History, KeysLost, KvEntry


@dataclass(frozen=True, slots=True)
class _Absence:
    """A wanted key was not there. `until_s` is None if it was still so at the end."""

    key: Key
    from_s: float
    until_s: float | None
    lines: tuple[int, ...]


class _Change(NamedTuple):
    """From `at_s` on a key was there, or was not. In the order of their lines."""

    line: int
    at_s: float
    there: bool


@check
def deletes_justified(history: History) -> Finding:
    """`deletes-justified`: whoever deleted a key could know that nobody wanted it.

    For every delete marker there is an instant, after the deleted revision was stored and before the marker was, at
    which nobody wanted the key: no Deployment, no Device, one of them going, the Device blocked, or not selected.
    A view from before the deleted revision justifies nothing: since then somebody had written what is wanted now.
    """
    name = "deletes-justified"
    if (gap := witness_gap(history)) is not None:
        return inconclusive(name, gap)
    timeline = Timeline(history)
    deletes = 0
    wrong: list[tuple[Key, tuple[int, ...]]] = []
    for key, entries in _entries_by_key(history).items():
        stored_at_s = {entry.revision: (line, stored_s(entry)) for line, entry in entries}
        stretches = [stretch for stretch in timeline.stretches(key) if not stretch.wanted]
        for line, entry in entries:
            if entry.operation != "delete":
                continue
            deletes += 1
            # A marker over nothing deletes no revision: any time before it will do.
            since_line, since_s = stored_at_s.get(entry.previous, (line, float("-inf")))
            if not any(s.begins_from_s <= stored_s(entry) and s.ends_to_s >= since_s for s in stretches):
                wrong.append((key, (since_line, line)))
    if wrong:
        return failed(
            name,
            f"{len(wrong)} of {deletes} deletes took a key that was wanted all the time since the revision they "
            f"deleted{_first([key for key, _ in wrong])}",
            sorted({line for _, lines in wrong for line in lines}),
        )
    if not deletes:
        return inconclusive(name, "no key was deleted, so no delete could be unjustified")
    return passed(name, f"each of {deletes} deletes took a key that nobody wanted after that revision was stored")


@check_of
def no_wanted_key_absent(bound_s: float) -> Ask:
    """`no-wanted-key-absent`: no wanted key is missing at the end, or was missing for longer than `bound_s`."""
    name = "no-wanted-key-absent"

    def ask(history: History) -> Finding:
        if (gap := witness_gap(history)) is not None:
            return inconclusive(name, gap)
        timeline, changes = Timeline(history), _changes_by_key(history)
        ended_s = history.records[-1].at_s if history.records else 0.0
        wanted = 0
        absences: list[_Absence] = []
        for key in timeline.keys:
            stretches = [stretch for stretch in timeline.stretches(key) if stretch.wanted]
            wanted += len(stretches)
            for stretch in stretches:
                absences += _absences(key, stretch, changes.get(key, []))
        if not wanted:
            return inconclusive(name, "no key was ever wanted, so none could be missing")
        late = [a for a in absences if a.until_s is None or a.until_s - a.from_s > bound_s]
        if late:
            gone = [absence for absence in late if absence.until_s is None]
            worst = max(late, key=lambda absence: (absence.until_s or ended_s) - absence.from_s)
            return failed(
                name,
                f"{len(gone)} wanted keys are missing at the end, {len(late) - len(gone)} were missing for more than "
                f"{bound_s:g} s: {worst.key[0]}.{worst.key[1]} for {(worst.until_s or ended_s) - worst.from_s:.2f} s",
                sorted({line for absence in late for line in absence.lines}),
            )
        longest_s = max((a.until_s - a.from_s for a in absences if a.until_s is not None), default=0.0)
        return passed(
            name,
            f"keys were wanted {wanted} times, and none was missing for over {longest_s:.2f} s (bound {bound_s:g})",
        )

    return ask


def _absences(key: Key, stretch: Stretch, changes: Sequence[_Change]) -> list[_Absence]:
    """The times within a wanted stretch in which the key was not there."""
    found: list[_Absence] = []
    begin_s, end_s = stretch.begins_to_s, stretch.ends_from_s
    present = False
    since: tuple[float, tuple[int, ...]] = (begin_s, stretch.lines[:1])
    for line, at_s, there in changes:
        if at_s >= end_s:
            break
        if there:
            if not present and at_s > since[0]:
                found.append(_Absence(key, since[0], at_s, (*since[1], line)))
            present = True
        elif present:
            present = False
            since = (max(begin_s, at_s), (*stretch.lines[:1], line))
    if not present:
        # One that came to an end with the stretch was missing until then, and is missed by nobody now.
        at_end = end_s == float("inf")
        if at_end or end_s > since[0]:
            found.append(_Absence(key, since[0], None if at_end else end_s, since[1]))
    return found


def _changes_by_key(history: History) -> dict[Key, list[_Change]]:
    """When each key was stored, deleted or lost; of a loss the time at which it was found out."""
    changes: dict[Key, list[_Change]] = defaultdict(list)
    for key, entries in _entries_by_key(history).items():
        changes[key] += [_Change(line, stored_s(entry), entry.operation == "put") for line, entry in entries]
    for line, lost in history.numbered(KeysLost, lambda k: k.bucket == Bucket.DESIRED_STATE):
        for name in lost.keys:
            device, _, deployment = name.rpartition(".")
            changes[device, deployment].append(_Change(line, lost.at_s, there=False))
    for of_key in changes.values():
        of_key.sort()
    return changes


def _entries_by_key(history: History) -> dict[Key, list[tuple[int, KvEntry]]]:
    entries: dict[Key, list[tuple[int, KvEntry]]] = defaultdict(list)
    for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE):
        device, _, deployment = entry.key.rpartition(".")
        entries[device, deployment].append((line, entry))
    return entries


def _first(keys: list[Key]) -> str:
    return f", e.g. {min(f'{device}.{deployment}' for device, deployment in keys)}"
