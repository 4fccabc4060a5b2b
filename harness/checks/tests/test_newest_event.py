"""The status at a mark: true by the reports until then, and telling of wrong clocks and of late writes."""

from collections.abc import Mapping

import pytest

from fleet.wire import Phase
from harness.checks.judge import Finding
from harness.checks.newest_event import newest_event_counts, status_true_at
from harness.checks.reference import World, reports_known
from harness.checks.tests.story import MADE_AT, TRUE, Story, desired, report, settled
from harness.history import HAND, Meta, Op

KEY = ("site.rack.device-0", "app")
TARGET = "site.rack.device-0.app"
FAILED = {"matched": 1, "succeeded": 0, "pending": 0, "failed": 1, "lastError": {"device": KEY[0]}}
YEARS_S = 73 * 365 * 86400.0


def dated() -> Story:
    """A settled world whose history says when it began."""
    story = settled()
    meta = Meta(
        at_s=0.0,
        format=1,
        run_id="r",
        scenario="s",
        case="c",
        defect=None,
        started_at=MADE_AT.isoformat(),
        versions={},
    )
    story.records.insert(0, meta)
    story.passes(10)
    return story


def by_hand(story: Story, value: str, action: str = "put device-state") -> None:
    story.add(
        Op(
            at_s=story.at_s,
            client=HAND,
            action=action,
            target=f"state.{TARGET}",
            invoked_s=story.at_s,
            outcome="ok",
            revision=1,
            detail=value,
        )
    )


class TestStatusTrueAt:
    def test_then_and_not_later(self) -> None:
        """What happens after the mark changes nothing about it."""
        story = settled()
        story.asked_and_marked("then")
        story.said(TARGET, report(Phase.FAILED, after_s=1))
        story.asked()
        assert status_true_at("then")(story.history()).outcome == "pass"

    def test_false_then(self) -> None:
        """A status that became true later was not true then."""
        story = settled()
        story.said(TARGET, report(Phase.FAILED, after_s=1))
        story.asked_and_marked("then")
        story.deployment(counts=FAILED)
        story.asked()
        finding = status_true_at("then")(story.history())
        assert (finding.check, finding.outcome) == ("status-true-at", "fail")
        assert finding.reason.startswith("at then: ")

    def test_no_such_mark(self) -> None:
        """Nothing can be said."""
        assert status_true_at("then")(settled().history()).outcome == "inconclusive"


class TestNewestEventCounts:
    def judged(self, story: Story, counts: Mapping[str, object]) -> Finding:
        story.deployment(counts=counts)
        story.asked_and_marked("then")
        return newest_event_counts("then")(story.history())

    def ahead(self) -> Story:
        """It fails in 2099, and runs now."""
        story = dated()
        story.said(TARGET, report(Phase.FAILED, after_s=YEARS_S))
        story.passes(10)
        story.said(TARGET, report(after_s=story.at_s))
        return story

    def behind(self) -> Story:
        """It says that it failed years ago."""
        story = dated()
        story.said(TARGET, report(Phase.FAILED, after_s=-YEARS_S))
        return story

    def test_a_clock_ahead(self) -> None:
        """What came later counts."""
        assert self.judged(self.ahead(), TRUE).outcome == "pass"

    def test_a_clock_ahead_that_is_believed(self) -> None:
        """The status says what came in 2099."""
        finding = self.judged(self.ahead(), FAILED)
        assert (finding.outcome, "believes every clock" in finding.reason) == ("fail", True)

    def test_a_clock_behind(self) -> None:
        """What is older changes nothing."""
        assert self.judged(self.behind(), TRUE).outcome == "pass"

    def test_a_late_write_that_wins(self) -> None:
        """The status says what was written last."""
        finding = self.judged(self.behind(), FAILED)
        assert (finding.outcome, "takes the last write" in finding.reason) == ("fail", True)

    def test_a_status_of_neither(self) -> None:
        """Wrong in a way of its own."""
        finding = self.judged(self.behind(), {"matched": 1, "succeeded": 0, "pending": 1, "failed": 0})
        assert (finding.outcome, "does not follow" in finding.reason) == ("fail", True)

    def test_nothing_tells(self) -> None:
        """Where all times are in order nothing was shown."""
        story = dated()
        story.said(TARGET, report(Phase.FAILED, after_s=story.at_s))
        assert self.judged(story, FAILED).outcome == "inconclusive"

    def test_no_such_mark(self) -> None:
        """Nothing can be said."""
        assert newest_event_counts("no-such")(dated().history()).outcome == "inconclusive"


class TestReportsKnown:
    def phase(self, story: Story) -> Phase | None:
        found = reports_known(story.history()).get(KEY)
        return None if found is None else found.phase

    def test_a_malformed_one_is_none(self) -> None:
        """Whoever saw a good one before it has nothing to go by either: who starts later would not."""
        story = settled()
        story.process("spawned")
        by_hand(story, '{"phase":"Dancing"}')
        assert self.phase(story) is None
        assert World.at_end(story.history()).aggregate("app").pending == 1
        story.said(TARGET, report(Phase.FAILED, after_s=1))
        assert self.phase(story) is Phase.FAILED

    def test_an_older_one_is_all_that_is_left(self) -> None:
        """Who is started finds the older report, for it is what is stored."""
        story = settled()
        story.process("spawned")
        story.said(TARGET, report(Phase.FAILED, after_s=-5))
        assert self.phase(story) is Phase.RUNNING
        story.process("exited")
        story.process("spawned", "operator-2")
        assert self.phase(story) is Phase.FAILED

    def test_a_second_operator_loses_nothing(self) -> None:
        """As long as one runs that knows the newer one, it is known."""
        story = settled()
        story.process("spawned")
        story.said(TARGET, report(Phase.FAILED, after_s=-5))
        story.process("spawned", "operator-2")
        assert self.phase(story) is Phase.RUNNING

    def test_a_good_one_by_hand_counts(self) -> None:
        """Nobody can tell who wrote it."""
        story = settled()
        by_hand(story, report(Phase.FAILED, after_s=1))
        assert self.phase(story) is Phase.FAILED

    def test_a_delete_by_hand(self) -> None:
        """Nothing is reported any more."""
        story = settled()
        by_hand(story, "", "delete device-state")
        assert self.phase(story) is None

    @pytest.mark.parametrize("key", ["state.Device.app", "device-0.app", "state.app"])
    def test_a_key_that_names_nothing(self, key: str) -> None:
        """It is nobody's report."""
        story = Story()
        by_hand(story, report())
        story.records[-1] = Op(
            at_s=0.0,
            client=HAND,
            action="put device-state",
            target=key,
            invoked_s=0.0,
            outcome="ok",
            revision=1,
            detail=report(),
        )
        assert not reports_known(story.history())


def test_an_odd_key_is_nobodys() -> None:
    """A key of desired-state that names nothing is not stored for anybody."""
    story = settled()
    story.stored("Device-0.app", desired())
    assert World.at_end(story.history()).stored.keys() == {KEY}
