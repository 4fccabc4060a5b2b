"""The check on the moment of a fault."""

import pytest

from harness.checks.struck import struck_while
from harness.checks.tests.story import Story


def story_of(*steps: str) -> Story:
    """Marks, phases and fault events in their order; each fault is a mark's successor."""
    story = Story()
    for step in steps:
        if step in ("Recovering", "Converged"):
            story.recovery(step)
        elif step == "begin":
            story.mark(step)
        else:
            story.fault("applied", step)
    return story


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        (["Converged", "begin", "Recovering", "http-503"], "pass"),
        (["Converged", "begin", "Recovering", "http-503", "Converged"], "pass"),
        (["begin", "Recovering", "Converged", "http-503"], "inconclusive"),
        (["Recovering", "sigkill", "begin", "Converged", "http-503"], "inconclusive"),
        (["Recovering", "begin"], "inconclusive"),
        (["begin", "http-503"], "inconclusive"),
        (["Recovering", "http-503"], "inconclusive"),
    ],
    ids=" ".join,
)
def test_the_phase_at_that_moment(steps: list[str], outcome: str) -> None:
    """What the operator said last before the fault counts; nothing else is a failure of the product."""
    assert struck_while("Recovering", "begin")(story_of(*steps).history()).outcome == outcome
