"""Checks on what a status says of silent devices: that it says so, and of nobody else."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import World, selects, status_aggregate
from harness.checks.silence import COMES_BACK, FALLS_SILENT, stale_after_s, without_power
from harness.checks.window import Marks, Window, between
from harness.history import Fault, History, Op, Resource

# A device's last beat came up to one interval before its power went; devices of the harness beat at least this often.
_BEAT_EVERY_S_MAX = 1.0
# Of a device that is back: its first beat is to be read, counted at a tick, and patched.
_TOLD_WITHIN_S = 3.0


@check_of
def stale_told(start: str, end: str) -> Ask:
    """`stale-told`: from mark `start` to mark `end`, every status counts the devices without power as stale.

    Those that have none all the time between the marks, and that had reported about the Deployment.
    """
    name, window = "stale-told", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        until_start = History(history.records[:first])
        back = {op.client for line, op in history.numbered(Op) if first < line < last and op.action in COMES_BACK}
        off = without_power(until_start) - back
        world = World.at_end(until_start)
        stale = Counter(
            deployment for device, deployment in world.wanted.keys() & world.reports.keys() if device in off
        )
        if not stale:
            return inconclusive(name, f"no device that had reported was without power from {start} to {end}")
        wrong: dict[int, str] = {}
        for line, resource in _statuses_in(history, first, last):
            count, shown = stale[resource.name], status_aggregate(resource)
            if shown is None or not count:
                continue
            if shown.stale < count or shown.succeeded > shown.matched - count:
                wrong[line] = (
                    f"{resource.name} shows {shown.succeeded} succeeded and {shown.stale} stale of {shown.matched} "
                    f"while {count} of its devices have no power"
                )
        if wrong:
            return failed(name, f"{len(wrong)} statuses do not tell: {wrong[min(wrong)]}", sorted(wrong))
        reason = f"{len(stale)} Deployments show {stale.total()} devices as stale from {start} to {end}"
        return passed(name, reason, [first, last])

    return between(name, window, ask)


@check
def stale_justified(history: History) -> Finding:
    """`stale-justified`: no status ever calls more devices stale than have been without power for the limit.

    A device may be called so from one limit after its power went, less the beat that it owed by then, until a moment
    after it is back. Silence of the broker, or of the operator's link, makes no device stale.
    """
    name = "stale-justified"
    limit_s = stale_after_s(history)
    devices: dict[str, Resource] = {}
    spells = _spells(history)
    looked = 0
    wrong: dict[int, str] = {}
    for line, resource in history.numbered(Resource):
        if resource.kind == "Device":
            if resource.event == "deleted":
                devices.pop(resource.name, None)
            else:
                devices[resource.name] = resource
            continue
        shown = status_aggregate(resource)
        if resource.event == "deleted" or shown is None:
            continue
        looked += 1
        silent = [
            d for d in devices.values() if selects(resource, d) and _overdue(spells, d.name, limit_s, resource.at_s)
        ]
        if shown.stale > len(silent):
            wrong[line] = (
                f"{resource.name} shows {shown.stale} stale devices at {resource.at_s:.2f} s, when {len(silent)} of "
                f"its devices had been without power for {limit_s:g} s"
            )
    if wrong:
        return failed(
            name, f"{len(wrong)} statuses call devices stale that are not: {wrong[min(wrong)]}", sorted(wrong)
        )
    if not looked:
        return inconclusive(name, "no Deployment ever had a status")
    return passed(name, f"none of {looked} statuses calls a device stale that had power within the last {limit_s:g} s")


@check
def cuts_outlast_limit(history: History) -> Finding:
    """`cut-outlasts-limit`: some link was cut for longer than the limit of silence, or it put nobody to the test."""
    name = "cut-outlasts-limit"
    limit_s = stale_after_s(history)
    begun: dict[str, tuple[int, float]] = {}
    for line, fault in history.numbered(Fault, lambda f: f.name == "cut"):
        if fault.event == "proved-active":
            begun[fault.target] = line, fault.at_s
        elif fault.event == "healed" and fault.target in begun:
            since_line, since_s = begun.pop(fault.target)
            if fault.at_s - since_s > limit_s:
                lasted = f"{fault.target} was cut for {fault.at_s - since_s:.2f} s (limit of silence {limit_s:g} s)"
                return passed(name, lasted, [since_line, line])
    return inconclusive(name, f"no link was cut for longer than {limit_s:g} s")


@dataclass(frozen=True, slots=True)
class _Spell:
    """A time in which a device had no power. `to_s` is None if it has none at the end."""

    from_s: float
    to_s: float | None


def _spells(history: History) -> dict[str, list[_Spell]]:
    spells: dict[str, list[_Spell]] = {}
    for op in history.of(Op):
        theirs = spells.setdefault(op.client, [])
        is_off = bool(theirs) and theirs[-1].to_s is None
        if op.action in FALLS_SILENT and not is_off:
            theirs.append(_Spell(op.invoked_s, None))
        elif op.action in COMES_BACK and is_off:
            theirs[-1] = _Spell(theirs[-1].from_s, op.at_s)
    return spells


def _overdue(spells: dict[str, list[_Spell]], device: str, limit_s: float, at_s: float) -> bool:
    """Whether somebody could take it for silent at that time."""
    for spell in spells.get(device, ()):
        from_s = spell.from_s - _BEAT_EVERY_S_MAX + limit_s
        to_s = math.inf if spell.to_s is None else spell.to_s
        if from_s <= to_s and from_s <= at_s <= to_s + _TOLD_WITHIN_S:
            return True
    return False


def _statuses_in(history: History, first: int, last: int) -> Iterator[tuple[int, Resource]]:
    """The version that each Deployment had at the first line, and all up to the last."""
    at_first: dict[str, tuple[int, Resource]] = {}
    after: list[tuple[int, Resource]] = []
    for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
        if line > last:
            break
        if line > first:
            after.append((line, resource))
        elif resource.event == "deleted":
            at_first.pop(resource.name, None)
        else:
            at_first[resource.name] = line, resource
    yield from at_first.values()
    yield from after
