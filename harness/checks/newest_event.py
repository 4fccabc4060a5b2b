"""Checks on the status at one moment: that it was true then, and that no wrong clock had the last word in it."""

from dataclasses import replace

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import Shown, World, reports_known, status_shown
from harness.checks.status import status_true
from harness.checks.window import until
from harness.history import History


@check_of
def status_true_at(mark: str) -> Ask:
    """`status-true-at`: when a mark was set every status said what the reports acknowledged by then add up to."""
    name = "status-true-at"

    def ask(history: History) -> Finding:
        then = until(history, mark)
        if then is None:
            return inconclusive(name, f"the history has no mark {mark}")
        found = status_true(then)
        return Finding(name, found.outcome, f"at {mark}: {found.reason}", found.evidence)

    return ask


@check_of
def newest_event_counts(mark: str) -> Ask:
    """`newest-event-counts`: when a mark was set, statuses followed the newest event, and no wrong clock or late write.

    Judged on the Deployments that tell: an operator that believes every time, or takes whatever was stored last for the
    newest, would show something else there. Where none tells, nothing was shown.
    """
    name = "newest-event-counts"

    def ask(history: History) -> Finding:
        then = until(history, mark)
        if then is None:
            return inconclusive(name, f"the history has no mark {mark}")
        world = World.at_end(then)
        naive = {
            "believes every clock": replace(world, reports=reports_known(then, clamped=False)),
            "takes the last write for the newest event": replace(
                world, reports=reports_known(then, by_event_time=False)
            ),
        }
        telling = {d for d in world.deployments for w in naive.values() if w.status(d) != world.status(d)}
        if not telling:
            return inconclusive(name, f"at {mark} whatever an operator makes of times, its statuses are the same")
        for deployment in sorted(telling):
            shown = status_shown(world.deployments[deployment])
            if shown == world.status(deployment):
                continue
            who = [how for how, other in naive.items() if other.status(deployment) == shown]
            looks = f"as one that {who[0]} has it" if who else "and does not follow its devices' newest events"
            return failed(
                name, f"at {mark} {deployment} shows {_counts(shown)}, {looks}; not {_counts(world.status(deployment))}"
            )
        return passed(name, f"at {mark} {len(telling)} statuses followed the newest event, whatever clocks said")

    return ask


def _counts(shown: Shown | None) -> str:
    if shown is None:
        return "no status"
    error = f", last error of {shown.last_error_device}" if shown.last_error_device else ""
    a = shown.aggregate
    return f"{a.succeeded} succeeded, {a.pending} pending, {a.failed} failed of {a.matched}{error}"
