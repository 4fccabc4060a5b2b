"""The checks on stale devices: told while they have no power, of nobody else, and not before anybody can know."""

from collections.abc import Mapping

import pytest

from harness.checks.silence import STALE_AFTER
from harness.checks.staleness import cuts_outlast_limit, stale_justified, stale_told
from harness.checks.tests.story import TRUE, Story, settled

NAMES = ("site.rack.device-0", "site.rack.device-1")
RUNNING: Mapping[str, object] = {**TRUE, "matched": 2, "succeeded": 2, "stale": 0}
ONE_STALE: Mapping[str, object] = {**TRUE, "matched": 2, "succeeded": 1, "stale": 1}
TOLD = stale_told("told", "still-off")
LIMIT_S = 5.0


def without_power(for_s: float = 6.0) -> Story:
    """Two devices that run; the first has no power since then. Silence is judged after five seconds."""
    story = Story()
    story.process("spawned", settings={STALE_AFTER: f"{LIMIT_S:g}"})
    story.records += settled(2).records
    story.deployment(counts=RUNNING)
    story.passes(10)
    story.acted(NAMES[0], "silence")
    story.passes(for_s)
    return story


class TestStaleTold:
    def test_told(self) -> None:
        """One status from before the first mark stands all the while."""
        story = without_power()
        story.deployment(counts=ONE_STALE)
        story.mark("told")
        story.mark("still-off")
        finding = TOLD(story.history())
        assert (finding.outcome, finding.reason) == (
            "pass",
            "1 Deployments show 1 devices as stale from told to still-off",
        )

    def test_not_told(self) -> None:
        """What was true before stands still."""
        story = without_power()
        line = len(story.records) - 1
        story.mark("told")
        story.mark("still-off")
        finding = TOLD(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))
        assert "app shows 2 succeeded and 0 stale of 2 while 1 of its devices have no power" in finding.reason

    def test_taken_back(self) -> None:
        """One version in between is enough."""
        story = without_power()
        story.deployment(counts=ONE_STALE)
        story.mark("told")
        line = story.deployment(counts=RUNNING)
        story.deployment(counts=ONE_STALE)
        story.mark("still-off")
        finding = TOLD(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))

    def test_counted_twice(self) -> None:
        """Stale, and succeeded as well."""
        story = without_power()
        story.deployment(counts={**ONE_STALE, "succeeded": 2})
        story.mark("told")
        story.mark("still-off")
        assert TOLD(story.history()).outcome == "fail"

    def test_of_others_nothing_is_asked(self) -> None:
        """A Deployment that selects no such device, one without a status, and one that went."""
        story = without_power()
        story.deployment(counts=ONE_STALE)
        story.mark("told")
        story.deployment("other", {**TRUE, "stale": 0})
        story.deployment("new")
        story.deployment(event="deleted")
        story.mark("still-off")
        assert TOLD(story.history()).outcome == "pass"

    @pytest.mark.parametrize("when", ["never off", "off later", "back"])
    def test_nobody_was_off(self, when: str) -> None:
        """All the time between the marks, or it says nothing."""
        story = settled(2) if when != "back" else without_power()
        story.mark("told")
        if when == "off later":
            story.acted(NAMES[0], "silence")
        if when == "back":
            story.acted(NAMES[0], "resume")
        story.mark("still-off")
        assert TOLD(story.history()).outcome == "inconclusive"

    def test_never_reported(self) -> None:
        """Whoever said nothing is stale about nothing."""
        story = Story()
        story.device(NAMES[0])
        story.deployment(counts={**TRUE, "succeeded": 0, "pending": 1})
        story.acted(NAMES[0], "silence")
        story.mark("told")
        story.mark("still-off")
        assert TOLD(story.history()).outcome == "inconclusive"

    def test_no_window(self) -> None:
        """Nobody wrote down when."""
        assert TOLD(settled().history()).outcome == "inconclusive"


class TestStaleJustified:
    def test_after_the_limit(self) -> None:
        """It has been off for that long, whatever the other does."""
        story = without_power()
        story.deployment(counts=ONE_STALE)
        assert stale_justified(story.history()).outcome == "pass"

    def test_too_early(self) -> None:
        """Nobody can know yet. A beat that it owed by the time is in its favour."""
        story = without_power(3.0)
        line = story.deployment(counts=ONE_STALE)
        finding = stale_justified(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))
        assert "when 0 of its devices had been without power for 5 s" in finding.reason
        story = without_power(4.5)
        story.deployment(counts=ONE_STALE)
        assert stale_justified(story.history()).outcome == "pass"

    def test_of_another(self) -> None:
        """More are called stale than have no power."""
        story = without_power()
        story.deployment(counts={**ONE_STALE, "succeeded": 0, "stale": 2})
        assert "when 1 of its devices" in stale_justified(story.history()).reason

    @pytest.mark.parametrize(("for_s", "outcome"), [(2.0, "pass"), (4.0, "fail")])
    def test_for_a_moment_after_it_is_back(self, for_s: float, outcome: str) -> None:
        """Its first beat has to be read, counted and patched."""
        story = without_power()
        story.acted(NAMES[0], "resume")
        story.passes(for_s)
        story.deployment(counts=ONE_STALE)
        assert stale_justified(story.history()).outcome == outcome

    def test_one_that_was_back_in_time(self) -> None:
        """A short silence justifies nothing, however long ago it began; nor does an older one."""
        story = without_power(3.0)
        story.acted(NAMES[0], "resume")
        story.passes(1.5)
        story.deployment(counts=ONE_STALE)
        assert stale_justified(story.history()).outcome == "fail"

    @pytest.mark.parametrize("change", ["deleted", "labels"])
    def test_one_that_is_not_selected(self, change: str) -> None:
        """It counts for nobody."""
        story = without_power()
        if change == "deleted":
            story.device(NAMES[0], event="deleted")
        else:
            story.device(NAMES[0], labels={"group": "other"})
        story.deployment(counts=ONE_STALE)
        assert stale_justified(story.history()).outcome == "fail"

    def test_nothing_to_look_at(self) -> None:
        """Without a status, or with one that went, nothing was said."""
        story = Story()
        story.device(NAMES[0])
        story.deployment()
        story.deployment(counts=ONE_STALE, event="deleted")
        assert stale_justified(story.history()).outcome == "inconclusive"


class TestCutOutlastsLimit:
    @pytest.mark.parametrize(("for_s", "outcome"), [(5.5, "pass"), (4.0, "inconclusive")])
    def test_how_long(self, for_s: float, outcome: str) -> None:
        """From its proof to its heal, of one link."""
        story = without_power()
        story.fault("applied", "cut", "devices")
        story.fault("proved-active", "cut", "devices")
        story.passes(for_s)
        story.fault("healed", "cut", "operator")
        story.fault("healed", "cut", "devices")
        assert cuts_outlast_limit(story.history()).outcome == outcome

    def test_another_fault(self) -> None:
        """Only a cut keeps beats away."""
        story = without_power()
        story.fault("proved-active", "latency", "devices")
        story.passes(10)
        story.fault("healed", "latency", "devices")
        assert cuts_outlast_limit(story.history()).outcome == "inconclusive"
