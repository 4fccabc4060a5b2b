"""An entry written over a good one is put right once, its device keeps to the last good one, and no brake holds."""

import pytest

from fleet.wire import Bucket, DeviceState, Owner, Phase
from harness.checks.judge import Finding
from harness.checks.rewritten import brake_not_held, last_good_kept, rewritten_once
from harness.checks.tests.hands import BAD, KEY, asked, hands
from harness.checks.tests.story import MADE_AT, desired, report
from harness.history import Recovery


class TestRewrittenOnce:
    check = rewritten_once("struck", "end")

    def ending(self, *values: str, by: str = BAD, other: str = "") -> Finding:
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY, by)
        for value in values:
            story.stored(KEY, value)
        if other:
            story.stored(other, desired())
        story.asked_and_marked("end")
        return asked(self.check, story)

    def test_once(self) -> None:
        """The bad value, then the right one."""
        assert self.ending(desired()).outcome == "pass"

    @pytest.mark.parametrize("values", [[], [desired(), desired()]], ids=["never", "twice"])
    def test_not_once(self, values: list[str]) -> None:
        """A value that stays, or one that is written again and again."""
        finding = self.ending(*values)
        assert (finding.outcome, "times, not once" in finding.reason) == ("fail", True)

    @pytest.mark.parametrize(
        "value", [desired(generation=99), f" {desired()} "], ids=["another generation", "other bytes"]
    )
    def test_what_says_the_right_thing_is_left(self, value: str) -> None:
        """Same score, same owner: no write, and a write is one too many."""
        assert self.ending(by=value).outcome == "pass"
        finding = self.ending(desired(), by=value)
        assert (finding.outcome, "not at all" in finding.reason) == ("fail", True)

    @pytest.mark.parametrize("value", [desired(uid="other"), desired(image="registry.example/app:9")])
    def test_what_says_another_thing_is_not(self, value: str) -> None:
        """Another owner or another score is to be put right."""
        assert self.ending(desired(), by=value).outcome == "pass"
        assert self.ending(by=value).outcome == "fail"

    def test_another_key(self) -> None:
        """A key that nobody touched was written along."""
        finding = self.ending(desired(), other="site.rack.device-1.app")
        assert (finding.outcome, "nobody had touched" in finding.reason) == ("fail", True)

    def test_it_could_not_look(self) -> None:
        """Without marks, without an entry by hand, or with a witness that missed one."""
        assert asked(self.check, hands()).outcome == "inconclusive"
        story = hands()
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "inconclusive"
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY)
        story.revision += 1
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "inconclusive"

    def test_too_often_is_too_often(self) -> None:
        """However many the witness missed: more than one is more than one."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY)
        for _ in range(3):
            story.stored(KEY, desired())
        story.revision += 5
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "fail"


class TestLastGoodKept:
    check = last_good_kept("struck", "end")

    def ending(self, *said: tuple[str, str], by: str = BAD) -> Finding:
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY, by)
        for action, detail in said:
            story.said(KEY, detail, action=action)
        story.asked_and_marked("end")
        return asked(self.check, story)

    def refusal(self, uid: str = "uid-app") -> tuple[str, str]:
        state = DeviceState(Phase.RUNNING, MADE_AT, Owner(uid, 1), last_error="desired state refused")
        return "put device-state", state.encode().decode()

    def test_kept_and_said(self) -> None:
        """It goes on for the owner that it had, and says that it refused one."""
        assert self.ending(self.refusal()).outcome == "pass"

    def test_said_before_the_hand_heard_of_its_own_write(self) -> None:
        """A quick device is told of before the acknowledgement of what it acted on."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY, BAD)
        action, detail = self.refusal()
        story.said(KEY, detail, action=action)
        *before, by_hand, said = story.records
        story.records = [*before, said, by_hand]
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "pass"

    @pytest.mark.parametrize(
        ("action", "detail"), [("put device-state", report()), ("put device-state", "{}"), ("silence", "")]
    )
    def test_nothing_said(self, action: str, detail: str) -> None:
        """A report without a word of it, or none that can be understood, is none."""
        finding = self.ending((action, detail))
        assert (finding.outcome, "did not say" in finding.reason) == ("fail", True)

    def test_of_another_owner(self) -> None:
        """A report for what it never had is not the last good one."""
        assert self.ending(self.refusal("other")).outcome == "fail"

    def test_taken_down(self) -> None:
        """Garbage is no reason to stop anything."""
        finding = self.ending(self.refusal(), ("delete device-state", ""))
        assert (finding.outcome, "taken down" in finding.reason) == ("fail", True)

    def test_it_could_not_look(self) -> None:
        """A value that can be understood, and a history without the mark."""
        assert self.ending(by=desired(uid="other")).outcome == "inconclusive"
        assert asked(last_good_kept("struck", "no-such"), hands()).outcome == "inconclusive"


def test_the_brake() -> None:
    """Held at any time is held; nobody who answers says nothing."""
    story = hands()
    assert asked(brake_not_held, story).outcome == "inconclusive"
    story.recovery("Converged")
    assert asked(brake_not_held, story).outcome == "pass"
    story.add(Recovery(at_s=story.at_s, process="operator-1", phase="Converged", sources={}, held="30 keys"))
    assert asked(brake_not_held, story).outcome == "fail"
