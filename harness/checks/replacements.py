"""Checks on how containers replace each other: in which order, never back, and not again and again without a pause."""

from collections.abc import Sequence
from itertools import pairwise

from fleet.wire import Bucket
from harness.checks.container_lives import Happened, Life, Run, Slot, events, in_slot, lives
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import stored_s
from harness.history import History, KvEntry

PAUSE_S_FIRST = 0.5
"""By rule A11 the first pause is a second, of which the jitter takes at most a half; each next one is twice as long."""


@check_of
def rolled_in_order(device: str, deployment: str, service: str) -> Ask:
    """`rolled-in-order`: each replacement in this slot went as rule A5 has it.

    The new one is created before the old one ends, started after that, and then the old one is removed. One that had
    ended by itself before its replacement was asked for is not waited for.
    """
    name, wanted_slot = "rolled-in-order", f"{deployment}/{service}"

    def ask(history: History) -> Finding:
        there = in_slot(history, device, wanted_slot)
        ran = [life for life in there if life.runs]
        ran.sort(key=lambda life: life.runs[0].began.at_s)
        replacements = list(pairwise(ran))
        if not replacements:
            return inconclusive(name, f"{wanted_slot} on {device}: nothing was replaced")
        for old, new in replacements:
            wrong = _out_of_order(old, new, there, _asked_at_s(history, device, deployment, new))
            if wrong is not None:
                return failed(name, f"{wanted_slot} on {device}: {wrong[0]}", wrong[1])
        return passed(name, f"{wanted_slot} on {device}: {len(replacements)} replacements, each in order")

    return ask


@check_of
def ended(
    device: str, slot: str, start: str, *, exit_code: int, after_s_min: float = 0.0, after_s_max: float = 60.0
) -> Ask:
    """`ended-as-told`: what ran in the slot (`deployment/service`) at mark `start` ended with that code, then.

    137 is the code of one that was killed. The times count from the mark.
    """
    name = "ended-as-told"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        line, begin = mark
        found = [(life, run) for life in in_slot(history, device, slot) for run in life.runs if run.at(begin.at_s)]
        if not found:
            return inconclusive(name, f"{slot} on {device}: nothing ran at {start}", [line])
        life, run = found[0]
        if run.ended is None:
            return failed(name, f"{slot} on {device}: {life.short} never ended", [line, run.began.line])
        took_s = run.ended.at_s - begin.at_s
        reason = (
            f"{slot} on {device}: {life.short} ended with {run.exit_code}, {took_s:.2f} s after {start} "
            f"(wanted: {exit_code}, after {after_s_min:g} to {after_s_max:g} s)"
        )
        right = run.exit_code == exit_code and after_s_min <= took_s <= after_s_max
        return (passed if right else failed)(name, reason, [line, run.ended.line])

    return ask


@check_of
def replaced(device: str, slot: str, start: str) -> Ask:
    """`replaced`: what ran in the slot at mark `start` ended and is gone, and another one runs at the end."""
    name = "replaced"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        there = in_slot(history, device, slot)
        before = [] if mark is None else [life for life in there if life.ran_at(mark[1].at_s)]
        if mark is None or not before:
            return inconclusive(name, f"{slot} on {device}: nothing ran at {start}", [mark[0]] if mark else [])
        old, now = before[0], [life for life in there if life.running]
        lines = [mark[0], *(life.runs[-1].began.line for life in (old, *now))]
        if not now or old in now:
            what = f"{old.short} runs still" if old in now else "nothing runs"
            return failed(name, f"{slot} on {device}: {what} at the end, and was to be replaced after {start}", lines)
        if old.removed is None:
            return failed(name, f"{slot} on {device}: {old.short} ended and was never removed", lines)
        return passed(name, f"{slot} on {device}: {now[0].short} runs in place of {old.short}", lines)

    return ask


@check
def never_reverted(history: History) -> Finding:
    """`never-reverted`: once the replacement of a container was made, only that is started until the next order.

    Neither is the old one started again nor another one like it made (rule A6). For orders that come one by one.
    """
    name = "never-reverted"
    digests = {life.id: life.digest for life in lives(history)}
    made: dict[Slot, tuple[float, str, int]] = {}
    replacements = 0
    for line, event, slot in events(history):
        asked_at_s = last_order_s(history, slot.device, slot.deployment, until_s=event.happened_s)
        of_order, digest, since = made.get(slot, (-1.0, "", 0))
        if event.event == "create" and of_order != asked_at_s:
            replacements += bool(digest) and digest != digests[event.id]
            made[slot] = (asked_at_s, digests[event.id], line)
        elif event.event == "start" and of_order == asked_at_s and digests[event.id] != digest:
            reason = f"{slot}: {event.id[:12]} of {event.image} was started after its replacement had been made"
            return failed(name, reason, [since, line])
    if not replacements:
        return inconclusive(name, "no replacement was made that could be given up")
    return passed(name, f"{replacements} replacements were made, and none given up for what was before")


@check_of
def crash_loop_paused(device: str, slot: str, start: str, starts_min: int) -> Ask:
    """`crash-loop-paused`: what ends by itself in the slot after mark `start` is started again, after growing pauses.

    At least `starts_min` starts are to be seen, of one container.
    """
    name = "crash-loop-paused"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        looping = max(
            in_slot(history, device, slot), key=lambda life: len(_runs_since(life, mark[1].at_s)), default=None
        )
        runs = [] if looping is None else _runs_since(looping, mark[1].at_s)
        if looping is None or runs[1:] == []:
            return inconclusive(name, f"{slot} on {device}: nothing was started twice after {start}", [mark[0]])
        lines = [run.began.line for run in runs]
        for number, (first, second) in enumerate(pairwise(runs)):
            pause_s = second.began.at_s - (first.ended or second.began).at_s
            if pause_s < PAUSE_S_FIRST * 2**number:
                reason = f"{looping.short} was started again {pause_s:.2f} s after its end number {number + 1}"
                return failed(
                    name, f"{slot} on {device}: {reason}, at least {PAUSE_S_FIRST * 2**number:g} was due", lines
                )
        told = f"{slot} on {device}: {looping.short} was started {len(runs)} times (at least {starts_min}), with pauses"
        return (passed if len(runs) >= starts_min else failed)(name, told, lines)

    return ask


def _runs_since(life: Life, at_s: float) -> list[Run]:
    return [run for run in life.runs if run.began.at_s >= at_s]


def _asked_at_s(history: History, device: str, deployment: str, new: Life) -> float:
    """When that was stored of which the new container came."""
    made_s = (new.created or new.runs[0].began).at_s
    return last_order_s(history, device, deployment, until_s=made_s)


def last_order_s(history: History, device: str, deployment: str, *, until_s: float) -> float:
    """When the broker stored the newest value of that key by then; 0 if it had none."""
    key = f"{device}.{deployment}"
    orders = history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE and e.key == key)
    times = [stored_s(entry) for _, entry in orders]
    return max((at_s for at_s in times if at_s <= until_s), default=0.0)


def _out_of_order(old: Life, new: Life, there: Sequence[Life], asked_at_s: float) -> tuple[str, list[int]] | None:
    """What is wrong, with its lines.

    `there` are all containers of the slot: of several orders at once an earlier one's may have been made, and no more.
    """
    before, after = old.runs[-1], new.runs[0]
    pair = f"{old.short} of {old.image} by {new.short} of {new.image}"
    lines = [each.line for each in (new.created, before.ended, after.began, old.removed) if each is not None]
    if before.ended is None or before.ended.at_s > after.began.at_s:
        return f"{pair}: the new one was started before the old one ended", lines
    made = [life for life in there if life is not old and _between(before.began, life.created, before.ended)]
    if before.ended.at_s > asked_at_s and not made:
        return f"{pair}: the old one was ended before the new one was created", lines
    if old.removed is None:
        return f"{pair}: the old one was never removed", lines
    if old.removed.at_s < after.began.at_s and before.ended.at_s > asked_at_s:
        return f"{pair}: the old one was removed before the new one was started", lines
    return None


def _between(first: Happened, then: Happened | None, last: Happened) -> bool:
    return then is not None and first.at_s < then.at_s < last.at_s
