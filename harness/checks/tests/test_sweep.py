"""A sweep covers a tick if a clean one patched as many statuses as the sweep has steps."""

import pytest

from harness.checks.sweep import sweep_covers_tick
from harness.checks.tests.story import Story


@pytest.fixture
def story() -> Story:
    """Two statuses patched in the window, one of them twice, and one outside of it."""
    story = Story()
    story.patch(name="app-9")
    story.mark("clean")
    for name in ("app-0", "app-1", "app-1"):
        story.patch(name=name)
    story.mark("clean-settled")
    return story


@pytest.mark.parametrize(("steps", "outcome"), [(2, "pass"), (3, "inconclusive"), (1, "inconclusive")])
def test_as_many_steps_as_statuses(story: Story, steps: int, outcome: str) -> None:
    """Too few leave something out, too many are never reached."""
    assert sweep_covers_tick("clean", "clean-settled", steps)(story.history()).outcome == outcome


def test_no_window(story: Story) -> None:
    """Without the clean tick there is no range."""
    assert sweep_covers_tick("clean", "later", 2)(story.history()).outcome == "inconclusive"
