"""Checks on what an agent keeps running: that it looked and did nothing, that it kept what it had, and at what pace.

Requests are those that the fault point before a device's podman saw.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from harness.checks.container_lives import Life, in_slot, lives, written
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reporting import reasons_of, stored_reports
from harness.checks.window import Marks, Window, between
from harness.history import ContainerEvent, Gate, History

_PODMAN = "podman"
_LIST = "/containers/json"
_OF_A_PROOF = "/_ping"
_WINDOW_S = 1.0


@check_of
def looked(start: str, end: str, least: int) -> Ask:
    """`looked`: podman was asked at least so many times for its containers between the marks."""
    name, window = "looked", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        count = sum(
            first < line < last and gate.event == "passed" and gate.method == "GET" and _LIST in gate.path
            for line, gate in _requests(history)
        )
        words = f"podman was asked for its containers {count} times between {start} and {end} (at least {least})"
        return (passed if count >= least else inconclusive)(name, words, [first, last])

    return between(name, window, ask)


@check_of
def kept(device: str, start: str, end: str) -> Ask:
    """`kept`: in each slot in which a container ran at mark `start`, the same one runs at mark `end`.

    It may have ended in between, and have been started again.
    """
    name, window = "kept", Window(start, end)

    def ask(history: History, marks: Marks, ran: Sequence[Life]) -> Finding:
        (first, _), (last, finish) = marks
        for life in ran:
            if not life.ran_at(finish.at_s):
                now = _runs(history, device, written(life.slot), finish.at_s)
                words = f"{now.short} of {now.image} runs" if now is not None else "nothing runs"
                return failed(name, f"{life.slot}: {life.short} ran at {start}, and {words} at {end}", [first, last])
        return passed(name, f"{len(ran)} containers of {device} ran at {start} and run at {end}", [first, last])

    return _of_what_ran(name, device, window, ask)


@check_of
def made_again(device: str, start: str, end: str) -> Ask:
    """`made-again`: in each slot in which a container ran at mark `start`, another one of its image runs at `end`."""
    name, window = "made-again", Window(start, end)

    def ask(history: History, marks: Marks, ran: Sequence[Life]) -> Finding:
        (first, _), (last, finish) = marks
        for life in ran:
            now = _runs(history, device, written(life.slot), finish.at_s)
            if now is None or now.id == life.id or now.image != life.image:
                words = "nothing" if now is None else f"{now.short} of {now.image}"
                return failed(name, f"{life.slot}: {life.short} ran at {start}, {words} runs at {end}", [first, last])
        return passed(name, f"{len(ran)} containers of {device} were made again", [first, last])

    return _of_what_ran(name, device, window, ask)


@check_of
def running_at(device: str, slot: str, mark: str, image: str) -> Ask:
    """`running-at`: at the mark a container of that image runs in the slot (`deployment/service`)."""
    name = "running-at"

    def ask(history: History) -> Finding:
        found = history.mark(mark)
        if found is None:
            return inconclusive(name, f"the history has no mark {mark}")
        line, at = found
        now = _runs(history, device, slot, at.at_s)
        if now is None:
            return failed(name, f"{slot} on {device}: nothing runs at {mark}, and {image} should", [line])
        words = f"{slot} on {device}: {now.short} of {now.image} runs at {mark}"
        return passed(name, words, [line]) if now.image == image else failed(name, f"{words}, not {image}", [line])

    return ask


@check_of
def stranger_untouched(container: str, start: str, end: str) -> Ask:
    """`stranger-untouched`: between the marks nothing happened to that container (its name), which no agent made."""
    name, window = "stranger-untouched", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, begin), (last, finish) = marks
        events = list(history.numbered(ContainerEvent, lambda e: container in (e.name, e.id)))
        if not any(event.happened_s < begin.at_s for _, event in events):
            return inconclusive(name, f"there was no container {container} at {start}", [first])
        done = [(line, e) for line, e in events if begin.at_s < e.happened_s < finish.at_s]
        if done:
            told = ", ".join(event.event for _, event in done[:4])
            return failed(name, f"{container} between {start} and {end}: {told}", [line for line, _ in done])
        return passed(name, f"nothing happened to {container} between {start} and {end}", [first, last])

    return between(name, window, ask)


@check_of
def said_meanwhile(device: str, deployment: str, reason: str, start: str, end: str) -> Ask:
    """`said-meanwhile`: between the marks a report of the deployment had that reason in its error."""
    name, window = "said-meanwhile", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        said = [
            (line, report.last_error or "")
            for line, of, name_, report in stored_reports(history)
            if (of, name_) == (device, deployment) and first < line < last and report is not None
        ]
        found = next(((line, error) for line, error in said if reason in reasons_of(error)), None)
        if found is None:
            words = "; ".join(error or "no error" for _, error in said) or "nothing was reported"
            return failed(name, f"{deployment} of {device}: {reason} was not said between {start} and {end}: {words}")
        return passed(name, f"{deployment} of {device}: {found[1]}", [found[0]])

    return between(name, window, ask)


@check_of
def nothing_concluded(device: str, deployment: str, start: str, end: str) -> Ask:
    """`nothing-concluded`: every report between the marks has the phase and the ids of the last one before.

    And no error but that the runtime is away, or the one that was there before.
    """
    name, window = "nothing-concluded", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        told = [
            (line, report) for line, of, name_, report in stored_reports(history) if (of, name_) == (device, deployment)
        ]
        before = [report for line, report in told if line < first]
        if not before or before[-1] is None:
            return inconclusive(name, f"nothing was reported of {deployment} before {start}", [first])
        was = before[-1]
        count = 0
        for line, report in told:
            if not first < line < last:
                continue
            count += 1
            if report is None:
                return failed(name, f"{deployment} of {device}: its report was withdrawn", [line])
            error = report.last_error
            if (report.phase, dict(report.container_ids)) != (was.phase, dict(was.container_ids)) or (
                error != was.last_error and "RuntimeAway" not in reasons_of(error or "")
            ):
                ids = ", ".join(id_[:12] for id_ in report.container_ids.values()) or "no container"
                words = f"{report.phase}, {ids}, {error or 'no error'}"
                return failed(name, f"{deployment} of {device}: from silence it reported {words}", [line])
        return passed(name, f"{deployment} of {device}: {count} reports, all {was.phase} as before", [first, last])

    return between(name, window, ask)


@check_of
def podman_not_hammered(start: str, end: str, per_s_max: int) -> Ask:
    """`podman-not-hammered`: of the requests between the marks that got no answer, few came in any one second."""
    name, window = "podman-not-hammered", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        within: deque[tuple[int, float]] = deque()
        worst: list[int] = []
        total = 0
        for line, gate in _requests(history):
            if not first < line < last or gate.event != "faulted" or gate.path == _OF_A_PROOF:
                continue
            total += 1
            within.append((line, gate.at_s))
            while gate.at_s - within[0][1] >= _WINDOW_S:
                within.popleft()
            worst = max(worst, [number for number, _ in within], key=len)
        if not total:
            return inconclusive(
                name, f"nobody asked podman while it was away, between {start} and {end}", [first, last]
            )
        words = f"{len(worst)} requests in the worst second (at most {per_s_max}), {total} in all while it was away"
        return (passed if len(worst) <= per_s_max else failed)(name, words, [worst[0], worst[-1]])

    return between(name, window, ask)


def _of_what_ran(
    name: str, device: str, window: Window, ask: Callable[[History, Marks, Sequence[Life]], Finding]
) -> Ask:
    """As `between`, and told what ran on the device at the first mark: if nothing did, it is inconclusive."""

    def ask_with_lives(history: History, marks: Marks) -> Finding:
        first, begin = marks[0]
        ran = [life for life in lives(history) if life.slot.device == device and life.ran_at(begin.at_s)]
        if not ran:
            return inconclusive(name, f"nothing ran on {device} at {window.start}", [first])
        return ask(history, marks, ran)

    return between(name, window, ask_with_lives)


def _requests(history: History) -> Iterator[tuple[int, Gate]]:
    return history.numbered(Gate, lambda g: g.rule == _PODMAN)


def _runs(history: History, device: str, slot: str, at_s: float) -> Life | None:
    return next((life for life in in_slot(history, device, slot) if life.ran_at(at_s)), None)
