"""Checks on rolls in which the agent was killed: that the step was reached, and that each ended as a clean one.

clean-roll .. clean-settled    aim .. settled    aim .. settled    ...
a stretch is from an order to the mark at which it was carried out, or given up
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from fleet.canonical import Json, dumps
from fleet.errors import WireError
from fleet.wire import Bucket, DesiredState, decode_desired_state, decode_device_state
from harness.checks.container_lives import Life, events, lives, written
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.history import Fault, History, KvEntry, Mark, Process, VerdictOutcome

CLEAN, CLEAN_SETTLED = "clean-roll", "clean-settled"
AIM, SETTLED = "aim", "settled"
"""The detail of an aim says when the agent is to be killed: before a step, or at an event."""
BEFORE: Final = "before "
KILLED: Final = "killed "
"""With an aim behind it that is a fault's proof."""
_SIGKILLED: Final = -9
_ENDS: Final = {CLEAN: CLEAN_SETTLED, AIM: SETTLED}


@dataclass(frozen=True, slots=True)
class Stretch:
    """`aim` is empty for a clean roll. Lines and times are of its two marks."""

    aim: str
    line: int
    at_s: float
    settled_line: int
    settled_s: float

    def holds(self, at_s: float) -> bool:
        return self.at_s <= at_s <= self.settled_s

    def __str__(self) -> str:
        return f"the roll killed {self.aim}" if self.aim else "the clean roll"


Trouble: TypeAlias = tuple[str, list[int]]
"""What is wrong in a stretch, in words, and the lines that show it."""


def stretches(history: History) -> list[Stretch]:
    """Those that have both of their marks."""
    found: list[Stretch] = []
    open_: tuple[int, Mark] | None = None
    for line, mark in history.numbered(Mark):
        if mark.name in _ENDS:
            open_ = line, mark
        elif open_ is not None and mark.name == _ENDS[open_[1].name]:
            began, first = open_
            aim = first.detail if first.name == AIM else ""
            found.append(Stretch(aim, began, first.at_s, line, mark.at_s))
            open_ = None
    return found


def reached(history: History) -> dict[str, bool]:
    """By aim, whether the agent was killed just then, in any of the tries."""
    proofs = list(history.numbered(Fault, lambda f: f.event == "proved-active"))
    deaths = [line for line, _ in history.numbered(Process, lambda p: p.exit_code == _SIGKILLED)]
    found: dict[str, bool] = {}
    for each in stretches(history):
        if not each.aim:
            continue
        inside = range(each.line, each.settled_line)
        hit = any(line in inside and fault.detail == f"{KILLED}{each.aim}" for line, fault in proofs)
        found[each.aim] = found.get(each.aim, False) or (hit and any(line in inside for line in deaths))
    return found


def unlike_clean(history: History) -> dict[Stretch, Trouble]:
    """The stretches that did not end as the first clean roll did."""
    states = dict(_ended(history))
    clean = next((state for each, state in states.items() if not each.aim), None)
    if clean is None:
        return {}
    words = "{} ended in {}, the clean roll in {}"
    return {
        each: (words.format(each, dumps(state).decode(), dumps(clean).decode()), [each.line, each.settled_line])
        for each, state in states.items()
        if state != clean
    }


def touched(history: History) -> dict[Stretch, Trouble]:
    """The stretches in which a container that was made in them was started twice, or ended."""
    found: dict[Stretch, Trouble] = {}
    all_lives = [life for life in lives(history) if life.created is not None]
    for each in stretches(history):
        for life in all_lives:
            if (trouble := _touched(life, each)) is not None:
                found[each] = trouble
    return found


def outcomes(history: History) -> dict[str, tuple[VerdictOutcome, str]]:
    """By aim, what came of it, and in words what is wrong with that."""
    found: dict[str, tuple[VerdictOutcome, str]] = {
        aim: ("pass", "") if hit else ("inconclusive", "it was not reached") for aim, hit in reached(history).items()
    }
    for each, (words, _) in (unlike_clean(history) | touched(history)).items():
        if each.aim:
            found[each.aim] = ("fail", words)
    return found


@check
def kills_reached(history: History) -> Finding:
    """`kill-reached`: each aim was hit: the agent died by SIGKILL before that very system call, or at that event."""
    name = "kill-reached"
    found = reached(history)
    if not found:
        return inconclusive(name, "nothing was aimed at")
    missed = [aim for aim, hit in found.items() if not hit]
    if missed:
        lines = [each.line for each in stretches(history) if each.aim in missed]
        return inconclusive(name, f"{len(missed)} of {len(found)} kills were not reached, first {missed[0]}", lines)
    return passed(name, f"the agent was killed at each of {len(found)} places in a roll")


@check
def ends_as_clean(history: History) -> Finding:
    """`ends-as-clean-roll`: each roll ended in the state of the first one, which nobody disturbed.

    State: what runs by slot and whether its image is the one desired, what else is there, phase, owner and last error
    of each report, and whether its container ids are those that run.
    """
    name = "ends-as-clean-roll"
    found = stretches(history)
    if len(found) < 2 or all(each.aim for each in found):  # noqa: PLR2004 - a roll, and one to compare it with
        return inconclusive(name, "there is no clean roll and another one to compare with it")
    return _verdict(name, unlike_clean(history), f"{len(found)} rolls ended in the same state")


@check
def started_once(history: History) -> Finding:
    """`started-once`: in no roll is a container that the agent made for it started twice or ended; none between rolls.

    Whoever comes after a killed agent takes what runs for what it is.
    """
    name = "started-once"
    found = stretches(history)
    if not found:
        return inconclusive(name, "nothing was rolled")
    between = list(_between(history, found))
    if between:
        told = ", ".join(words for words, _ in between[:3])
        return failed(name, f"{len(between)} events between two rolls: {told}", [line for _, line in between])
    return _verdict(name, touched(history), f"in {len(found)} rolls no new container was touched, between them none")


def _verdict(name: str, troubles: Mapping[Stretch, Trouble], well: str) -> Finding:
    if not troubles:
        return passed(name, well)
    words, lines = next(iter(troubles.values()))
    more = f"; and {len(troubles) - 1} more rolls" if len(troubles) > 1 else ""
    return failed(name, f"{words}{more}", lines)


def _touched(life: Life, each: Stretch) -> Trouble | None:
    if life.created is None or not each.holds(life.created.at_s):
        return None
    runs = [run for run in life.runs if each.holds(run.began.at_s)]
    if len(runs) > 1:
        lines = [run.began.line for run in runs]
        return f"{each}: {life.short} of {life.slot} was started {len(runs)} times", lines
    for run in runs:
        if run.ended is not None and each.holds(run.ended.at_s):
            return f"{each}: {life.short} of {life.slot} was started, and ended again", [run.began.line, run.ended.line]
    return None


def _between(history: History, found: list[Stretch]) -> Iterator[tuple[str, int]]:
    """Events after the first roll that are in no roll: what it was, and its line."""
    ends = {each.settled_line: each for each in found}
    first, last = min(ends), max(ends)
    for line, event, slot in events(history):
        if first < line < last and not any(each.line < line < each.settled_line for each in found):
            yield f"{event.event} in {written(slot)}", line


def _ended(history: History) -> Iterator[tuple[Stretch, Json]]:
    """The state at the end of each, without what differs between any two rolls: ids, numbers, generations."""
    wanted: dict[str, DesiredState] = {}
    reports: dict[str, str] = {}
    entries = iter([*history.numbered(KvEntry), (len(history.records) + 1, None)])
    line, entry = next(entries)
    all_lives = lives(history)
    for each in stretches(history):
        while entry is not None and line < each.settled_line:
            deployment = entry.key.rpartition(".")[2]
            if entry.bucket == Bucket.DEVICE_STATE:
                reports[deployment] = entry.value
            elif entry.bucket == Bucket.DESIRED_STATE:
                wanted[deployment] = decode_desired_state(entry.value.encode())
            line, entry = next(entries)
        there = [life for life in all_lives if _there_at(life, each.settled_s)]
        running = [life for life in there if life.ran_at(each.settled_s)]
        slots: dict[str, Json] = {}
        for deployment, desired in wanted.items():
            for service in desired.score.services:
                ran = [life.image for life in running if life.slot[1:] == (deployment, service.name)]
                slots[f"{deployment}/{_plain(service.name)}"] = ran == [service.image] or f"runs {ran}"
        right = sum(state is True for state in slots.values())
        told: dict[str, Json] = {
            deployment: _told(reports.get(deployment), desired, deployment, running)
            for deployment, desired in wanted.items()
        }
        yield each, {"runs as desired": slots, "besides": len(there) - right, "reports": told}


def _there_at(life: Life, at_s: float) -> bool:
    made = life.created or (life.runs[0].began if life.runs else None)
    return made is not None and made.at_s <= at_s and (life.removed is None or life.removed.at_s > at_s)


def _told(value: str | None, desired: DesiredState, deployment: str, running: list[Life]) -> Json:
    if not value:
        return "none"
    try:
        report = decode_device_state(value.encode())
    except WireError as e:
        return f"malformed: {e}"
    ids = {life.slot.service: life.id for life in running if life.slot.deployment == deployment}
    return {
        "phase": report.phase.value,
        "last_error": report.last_error,
        "owner": "as desired" if report.owner == desired.owner else "another",
        "ids": "those that run" if dict(report.container_ids) == ids else "others",
    }


def _plain(service: str) -> str:
    return service.rstrip("0123456789")
