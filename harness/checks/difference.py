"""Checks on what a change of the objects costs: exactly the keys that it concerns, and each of them once.

    stored at mark `start`  ->  what had to be written  ->  wanted at mark `end`

What had to be written follows from the objects alone, so a check tells the number that its case expects: a world that
did not change as the case meant shows nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import Key, World, witness_gap
from harness.checks.window import Window, writes_in
from harness.history import History, KvEntry, Recovery

Entries = Sequence[tuple[int, KvEntry]]


@dataclass(frozen=True, slots=True)
class Difference:
    """The keys of desired-state by what two marks have to do with them, and what was stored between the marks."""

    purged: frozenset[str]
    """Live at the first, and wanted by nobody at the last."""
    written: frozenset[str]
    """Wanted at the last, and missing or holding something else at the first."""
    kept: frozenset[str]
    """Holding at the first what is wanted at the last."""
    entries: Mapping[str, Entries]

    def touched(self, keys: Collection[str], operation: str | None = None) -> dict[str, Entries]:
        """What was stored under these keys, by this operation if one is given."""
        found = {
            key: [(line, entry) for line, entry in self.entries.get(key, ()) if operation in (None, entry.operation)]
            for key in keys
        }
        return {key: entries for key, entries in found.items() if entries}


def difference(history: History, window: Window) -> Difference | str:
    """Or in words why nobody can tell."""
    marks, writes = window.marks(history), writes_in(history, window)
    if marks is None or isinstance(writes, str):
        return writes if isinstance(writes, str) else window.missing
    if not writes.complete:
        return f"the broker stored {writes.stored} writes, the witness saw {len(writes.entries)}"
    if (gap := witness_gap(history)) is not None:
        return gap
    (first, _), (last, _) = marks
    before, after = (World.at_end(History(history.records[:line])) for line in (first, last))
    right = frozenset(
        key
        for key, score in after.wanted.items()
        if (stored := before.stored.get(key)) is not None
        and (stored.owner.uid, stored.score) == (after.deployments[key[1]].uid, score)
    )
    entries: dict[str, list[tuple[int, KvEntry]]] = defaultdict(list)
    for line, entry in writes.entries:
        entries[entry.key].append((line, entry))
    return Difference(
        _text(before.stored.keys() - after.wanted.keys()), _text(after.wanted.keys() - right), _text(right), entries
    )


@check_of
def keys_purged(start: str, end: str, count: int) -> Ask:
    """`keys-purged`: between two marks each key that nobody wants any more got a delete marker, and no other key did.

    There are `count` of them, and each got one.
    """
    name, window = "keys-purged", Window(start, end)

    def ask(history: History) -> Finding:
        found = difference(history, window)
        if isinstance(found, str):
            return inconclusive(name, found)
        if len(found.purged) != count:
            return inconclusive(name, f"{len(found.purged)} keys of {start} are unwanted at {end}, not {count}")
        deleted = found.touched(found.entries, "delete")
        left, others = found.purged - deleted.keys(), deleted.keys() - found.purged
        twice = {key for key, entries in deleted.items() if len(entries) > 1}
        if not left and not others and not twice:
            return passed(
                name, f"{count} delete markers, for the {count} keys that nobody wants any more", _lines(deleted)
            )
        return failed(
            name,
            f"of {count} keys that nobody wants any more {len(left)} got no delete marker{_first(left)}; {len(others)} "
            f"other keys got one{_first(others)}; {len(twice)} got more than one{_first(twice)}",
            _lines(deleted),
        )

    return ask


@check_of
def keys_written(start: str, end: str, count: int) -> Ask:
    """`keys-written`: between two marks each key that is newly wanted, or wanted otherwise, was written once.

    There are `count` of them. That they hold the right value in the end is another check's.
    """
    name, window = "keys-written", Window(start, end)

    def ask(history: History) -> Finding:
        found = difference(history, window)
        if isinstance(found, str):
            return inconclusive(name, found)
        if len(found.written) != count:
            return inconclusive(
                name, f"{len(found.written)} keys are new or other at {end} than at {start}, not {count}"
            )
        put = found.touched(found.written)
        missing = found.written - put.keys()
        more = {key for key, entries in put.items() if [entry.operation for _, entry in entries] != ["put"]}
        if not missing and not more:
            return passed(name, f"{count} keys are new or other, and each was written once", _lines(put))
        return failed(
            name,
            f"of {count} keys that are new or other {len(missing)} were not written{_first(missing)}, and {len(more)} "
            f"more than once{_first(more)}",
            _lines(put),
        )

    return ask


@check_of
def others_kept(start: str, end: str) -> Ask:
    """`others-kept`: what held the right value at mark `start` and is wanted at mark `end` keeps its revision.

    So its device hears nothing, and its containers are left alone.
    """
    name, window = "others-kept", Window(start, end)

    def ask(history: History) -> Finding:
        found = difference(history, window)
        if isinstance(found, str):
            return inconclusive(name, found)
        if not found.kept:
            return inconclusive(name, f"no key of {start} is as wanted at {end}, so none could be kept")
        touched = found.touched(found.kept)
        if not touched:
            return passed(name, f"{len(found.kept)} keys that are as they should be kept their revisions")
        deleted = {key for key, entries in touched.items() if any(e.operation == "delete" for _, e in entries)}
        return failed(
            name,
            f"{len(touched)} of {len(found.kept)} keys that were as they should be were touched{_first(touched)}, "
            f"{len(deleted)} of them deleted",
            _lines(touched),
        )

    return ask


@check_of
def held_by_brake(start: str, approved: str, end: str, count: int) -> Ask:
    """`held-by-brake`: nothing was deleted until the mark `approved`, then exactly those `count` keys were.

    In between an operator said at /recovery that it holds a sweep.
    """
    name, whole = "held-by-brake", Window(start, end)

    def ask(history: History) -> Finding:
        found, marks = difference(history, whole), Window(start, approved).marks(history)
        if isinstance(found, str) or marks is None:
            return inconclusive(name, found if isinstance(found, str) else Window(start, approved).missing)
        if len(found.purged) != count:
            return inconclusive(name, f"{len(found.purged)} keys of {start} are unwanted at {end}, not {count}")
        (first, _), (yes, _) = marks
        deleted = found.touched(found.entries, "delete")
        early = {key for key, entries in deleted.items() if entries[0][0] < yes}
        if early:
            return failed(
                name, f"{len(early)} keys were deleted before anybody approved{_first(early)}", _lines(deleted)
            )
        held = [
            line for line, recovery in history.numbered(Recovery, lambda r: r.held is not None) if first < line < yes
        ]
        if not held:
            return failed(name, "nothing was deleted, and no operator said that it holds a sweep", [first, yes])
        if deleted.keys() != found.purged:
            left, others = found.purged - deleted.keys(), deleted.keys() - found.purged
            return failed(
                name,
                f"{len(left)} of {count} keys were not deleted after the sweep was approved{_first(left)}; "
                f"{len(others)} others were{_first(others)}",
                [*held, yes],
            )
        return passed(name, f"{count} keys waited, and were deleted once that was approved", [*held, yes])

    return ask


def _text(keys: Collection[Key]) -> frozenset[str]:
    return frozenset(f"{device}.{deployment}" for device, deployment in keys)


def _lines(touched: Mapping[str, Entries]) -> list[int]:
    return sorted(line for entries in touched.values() for line, _ in entries)


def _first(keys: Collection[str]) -> str:
    return f", e.g. {min(keys)}" if keys else ""
