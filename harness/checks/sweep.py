"""The check that a sweep over the steps of a tick goes as far as a tick does, as a clean one has shown."""

from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.checks.window import Window, patches_in
from harness.history import History


@check_of
def sweep_covers_tick(start: str, end: str, steps: int) -> Ask:
    """`sweep-covers-tick`: between two marks, in which nothing went wrong, so many statuses were patched."""
    name, window = "sweep-covers-tick", Window(start, end)

    def ask(history: History) -> Finding:
        patches = patches_in(history, window)
        if isinstance(patches, str):
            return inconclusive(name, patches)
        made = len({request.name for _, request in patches})
        lines = [line for line, _ in patches]
        if made != steps:
            return inconclusive(name, f"a clean tick patches {made} statuses; the sweep has {steps} steps", lines)
        return passed(name, f"a clean tick patches {made} statuses, as many as the sweep has steps", lines)

    return ask
