"""Checks on what ran on the devices: never two in a slot, what is wanted and nothing else, and nothing without need."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fleet.errors import WireError
from fleet.wire import Bucket, Score, decode_desired_state, parse_desired_key
from harness.checks.container_lives import Life, Run, Slot, events, lives, written
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.window import Marks, Window, between
from harness.history import History, KvEntry


@check
def never_two_running(history: History) -> Finding:
    """`never-two-running`: at no time do two containers run in one slot.

    An end is what podman calls `died`, or the device's power cut.
    """
    name = "never-two-running"
    by_slot: dict[Slot, list[tuple[Life, Run]]] = defaultdict(list)
    for life in lives(history):
        by_slot[life.slot] += [(life, run) for run in life.runs]
    if not by_slot:
        return inconclusive(name, "no agent made a container")
    for slot, runs in sorted(by_slot.items()):
        runs.sort(key=lambda each: each[1].began.at_s)
        for (first, run), (second, other) in pairwise(runs):
            if first is not second and run.at(other.began.at_s):
                ended = "never ended" if run.ended is None else f"ended {run.ended.at_s - other.began.at_s:.3f} s later"
                return failed(
                    name,
                    f"{slot}: {second.short} of {second.image} was started while {first.short} of {first.image} ran, "
                    f"which {ended}",
                    [run.began.line, other.began.line, *([run.ended.line] if run.ended else [])],
                )
    count = sum(map(len, by_slot.values()))
    return passed(name, f"{count} runs of containers in {len(by_slot)} slots, at no time two in one")


@check_of
def untouched(start: str, end: str, slots: Sequence[str] = ()) -> Ask:
    """`untouched`: what runs at mark `start` runs at mark `end`, and nothing happened in its slots in between.

    `slots` are of the form `deployment/service`, on any device; all of them if none is named. An exec is no deed.
    """
    name, window = "untouched", Window(start, end)
    return _left_alone(name, window, slots, slot_as_well=True)


@check_of
def ran_on(start: str, end: str, slots: Sequence[str] = ()) -> Ask:
    """`ran-on`: as `untouched`, but for what happened to other containers of the slots, such as their replacements."""
    name, window = "ran-on", Window(start, end)
    return _left_alone(name, window, slots, slot_as_well=False)


@check_of
def runs_as_desired(device: str) -> Ask:
    """`runs-as-desired`: at the end, exactly what desired-state holds for the device runs there: by slot and image.

    One container for each service of each value; none for a service or a deployment that is not wanted. A key that was
    lost deletes nothing, and a value that cannot be understood changes nothing: there the value before it counts.
    """
    name = "runs-as-desired"

    def ask(history: History) -> Finding:
        wanted = _wanted(history, device)
        if not wanted:
            return inconclusive(name, f"nothing was ever desired of {device}")
        running: dict[Slot, list[Life]] = defaultdict(list)
        for life in lives(history):
            if life.slot.device == device and life.running:
                running[life.slot].append(life)
        images = {
            Slot(device, deployment, service.name): (order.line, service.image)
            for deployment, order in wanted.items()
            if order.score is not None
            for service in order.score.services
        }
        for slot, (line, image) in sorted(images.items()):
            found = running.pop(slot, [])
            lines = [line, *(life.runs[-1].began.line for life in found)]
            if len(found) != 1:
                return failed(name, f"{slot}: {len(found)} containers run at the end, and one is wanted", lines)
            if found[0].image != image:
                return failed(name, f"{slot}: {found[0].image} runs at the end, and {image} is wanted", lines)
        if running:
            slot, left = min(running.items())
            lines = [life.runs[-1].began.line for life in left]
            return failed(name, f"{slot}: {left[0].image} runs at the end, and nobody wants it", lines)
        return passed(name, f"{len(images)} containers run on {device}, each as desired, and no other")

    return ask


def _left_alone(name: str, window: Window, slots: Sequence[str], *, slot_as_well: bool) -> Ask:
    """`slot_as_well`: nothing may happen to any other container of the slots either."""

    def ask(history: History, marks: Marks) -> Finding:
        (first, begin), (last, finish) = marks
        ran = [life for life in lives(history) if life.ran_at(begin.at_s)]
        watched = [life for life in ran if not slots or written(life.slot) in slots]
        missing = sorted(set(slots) - {written(life.slot) for life in watched})
        if missing or not watched:
            what = missing[0] if missing else "anywhere"
            return inconclusive(name, f"{what}: no container ran at {window.start} that could be left alone", [first])
        ids = {life.id for life in watched}
        done = [
            (line, event)
            for line, event, slot in events(history)
            if begin.at_s < event.happened_s < finish.at_s
            and (event.id in ids or (slot_as_well and (not slots or written(slot) in slots)))
        ]
        if done:
            told = ", ".join(f"{event.event} of {event.name}" for _, event in done[:4])
            reason = f"{len(done)} events of containers between {window.start} and {window.end}: {told}"
            return failed(name, reason, [line for line, _ in done])
        gone = [life for life in watched if not life.ran_at(finish.at_s)]
        if gone:
            reason = f"{gone[0].slot}: {gone[0].short} ran at {window.start} and not at {window.end}"
            return failed(name, reason, [first, last])
        reason = f"{len(watched)} containers ran from {window.start} to {window.end}, and nothing was done to them"
        return passed(name, reason, [first, last])

    return between(name, window, ask)


@dataclass(frozen=True, slots=True)
class _Order:
    """`score` is None if the deployment was deleted."""

    line: int
    score: Score | None


def _wanted(history: History, device: str) -> dict[str, _Order]:
    """By deployment, what is to run of it in the end: the last that was stored and can be understood."""
    found: dict[str, _Order] = {}
    for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE):
        try:
            pair = parse_desired_key(entry.key)
            score = None if entry.operation == "delete" else decode_desired_state(entry.value.encode()).score
        except WireError:
            continue
        if pair.device == device:
            found[pair.deployment] = _Order(line, score)
    return found
