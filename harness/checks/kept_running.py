"""The check that services ran at one instant, whatever was done to them before."""

from collections.abc import Sequence

from harness.checks.container_lives import lives, written
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.history import History


@check_of
def kept_running(mark: str, slots: Sequence[str]) -> Ask:
    """`kept-running`: at that mark a container ran in each of these slots, written `deployment/service`."""
    name = "kept-running"

    def ask(history: History) -> Finding:
        found = history.mark(mark)
        if found is None:
            return inconclusive(name, f"the history has no mark {mark}")
        line, at = found
        ran = {written(life.slot): life for life in lives(history) if life.runs}
        running = {written(life.slot) for life in lives(history) if life.ran_at(at.at_s)}
        if never := sorted(set(slots) - ran.keys()):
            return inconclusive(name, f"{never[0]}: no container ever ran", [line])
        if down := sorted(set(slots) - running):
            lines = [line, *(run.began.line for run in ran[down[0]].runs)]
            return failed(name, f"{down[0]}: no container ran at {mark}", lines)
        return passed(name, f"{len(slots)} services ran at {mark}", [line])

    return ask
