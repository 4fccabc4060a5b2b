"""Checks on what is left of a deployment on a device once it was deleted, and on what an agent says of bad words."""

from fleet.wire import Phase
from harness.checks.container_lives import Life, lives
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reporting import last_reports, reasons_of
from harness.checks.window import Window, until
from harness.history import Complaints, History, Op

LOOK_AT_DISK = "look at the disk"
"""The action of a scenario's note of an agent's files: `target` is device/deployment, `detail` their names."""


@check_of
def torn_down(device: str, deployment: str) -> Ask:
    """`torn-down`: nothing is left of the deployment: no container, no report, and no file of the agent.

    The case looks at the disk and writes down what it found.
    """
    name = "torn-down"

    def ask(history: History) -> Finding:
        made = [life for life in lives(history) if (life.slot.device, life.slot.deployment) == (device, deployment)]
        if not any(life.runs for life in made):
            return inconclusive(name, f"no container of {deployment} ever ran on {device}")
        looks = list(history.numbered(Op, lambda op: op.action == LOOK_AT_DISK))
        looks = [(line, op) for line, op in looks if op.target == f"{device}/{deployment}"]
        if not looks:
            return inconclusive(name, f"nobody looked at the disk of {device} for {deployment}")
        told, report = last_reports(history).get((device, deployment), (0, None))
        if not told:
            return inconclusive(name, f"{device} never reported about {deployment}")
        line, look = looks[-1]
        left = [
            *(
                (_line_of(life), f"{life.short} still {'runs' if life.running else 'is there'}")
                for life in made
                if life.removed is None
            ),
            *([(told, f"still reported as {report.phase}")] if report is not None else []),
            *([(line, f"files are left: {look.detail}")] if look.detail else []),
        ]
        if left:
            return failed(
                name, f"{deployment} on {device}, which was deleted: {left[0][1]}", [line for line, _ in left]
            )
        return passed(name, f"{len(made)} containers of {deployment} are removed, its report and its files are gone")

    return ask


def _line_of(life: Life) -> int:
    happened = life.runs[-1].began if life.runs else life.created
    return happened.line if happened is not None else 1


@check_of
def nothing_made_of(device: str, deployment: str, end: str) -> Ask:
    """`nothing-made-of`: up to mark `end` nothing was made of the deployment, and nothing was said of it."""
    name = "nothing-made-of"

    def ask(whole: History) -> Finding:
        history = until(whole, end)
        if history is None:
            return inconclusive(name, f"the history has no mark {end}")
        made = [life for life in lives(history) if (life.slot.device, life.slot.deployment) == (device, deployment)]
        told, _ = last_reports(history).get((device, deployment), (0, None))
        if made or told:
            what = f"{len(made)} containers were made" if made else "a report was stored"
            return failed(name, f"{deployment} on {device}: {what}, of a value that nobody understands", [told or 1])
        return passed(name, f"{deployment} on {device}: no container, no report")

    return ask


@check_of
def said_why(device: str, deployment: str, reason: str, start: str, end: str, *, kept: bool) -> Ask:
    """`said-why`: at mark `end` the device reports the deployment as Failed, with that reason.

    `kept`: under the owner, and with the ids, of its report at mark `start`; else under that of a later desired state.
    """
    name, window = "said-why", Window(start, end)

    def ask(history: History) -> Finding:
        marks, before, after = window.marks(history), until(history, start), until(history, end)
        if marks is None or before is None or after is None:
            return inconclusive(name, window.missing)
        of = (device, deployment)
        (line, had), (told, report) = last_reports(before).get(of, (0, None)), last_reports(after).get(of, (0, None))
        if had is None:
            return inconclusive(name, f"{device} reported nothing of {deployment} at {start}")
        if report is None or report.phase is not Phase.FAILED or reason not in reasons_of(report.last_error or ""):
            said = "nothing" if report is None else f"{report.phase}, {report.last_error or 'no error'}"
            return failed(name, f"{device} reports {deployment} at {end} as {said}; wanted was {reason}", [told])
        if kept != (report.owner == had.owner):
            whose = f"{report.owner.uid} generation {report.owner.generation}"
            return failed(name, f"{device} reports {deployment} at {end} for {whose}: the wrong owner", [line, told])
        if kept and report.container_ids != had.container_ids:
            return failed(name, f"{device} reports other containers of {deployment} at {end}", [line, told])
        return passed(name, f"{device} reports {deployment}: {report.last_error}", [told])

    return ask


@check_of
def said_of(what: str, *, times_min: int = 1, times_max: int = 1) -> Ask:
    """`said-so-often`: an agent's log has between so many lines of this, in all lives whose logs were read."""
    name = "said-so-often"

    def ask(history: History) -> Finding:
        told = {c.process: (line, c.logged.get(what, 0)) for line, c in history.numbered(Complaints)}
        if not told:
            return inconclusive(name, "no agent's log was read")
        times, lines = sum(count for _, count in told.values()), [line for line, _ in told.values()]
        wanted = f"{times_min}" if times_min == times_max else f"{times_min} to {times_max}"
        right = times_min <= times <= times_max
        return (passed if right else failed)(name, f"the log has {times} lines of {what} (wanted: {wanted})", lines)

    return ask
