"""Checks on entries that the hand wrote: counted, rewritten once, kept to, left, swept."""

from collections.abc import Mapping

import pytest

from fleet.wire import Bucket, DeviceState, Owner, Phase
from harness.checks.entries import planted, replaces
from harness.checks.judge import Ask, Finding
from harness.checks.malformed import malformed_counted
from harness.checks.odd_keys import left_alone, orphans_swept, wanted_keys_untouched
from harness.checks.rewritten import brake_not_held, last_good_kept, rewritten_once
from harness.checks.tests.story import MADE_AT, Story, desired, report, settled
from harness.history import HAND, Complaints, Op, Recovery

KEY = "site.rack.device-0.app"
STATE_KEY = f"state.{KEY}"
BAD = '{"phase":'
ODD = "Device-0.app"
ORPHAN = "device-9.app"


class Hands(Story):
    """A story in which somebody writes entries by hand."""

    def by_hand(self, bucket: Bucket, key: str, value: str = BAD, action: str = "put") -> int:
        """Writes of desired-state are seen by the witness, too."""
        if bucket is Bucket.DESIRED_STATE:
            self.stored(key, value, "put" if action == "put" else "delete")
        revision = self.revision if bucket is Bucket.DESIRED_STATE else len(self.records)
        return self.op(f"{action} {bucket}", key, revision, value)

    def look(self, bucket: Bucket, key: str, revision: int | None) -> int:
        return self.op(f"get {bucket}", key, revision)

    def op(self, action: str, key: str, revision: int | None, detail: str = "") -> int:
        return self.add(
            Op(
                at_s=self.at_s,
                client=HAND,
                action=action,
                target=key,
                invoked_s=self.at_s,
                outcome="ok",
                revision=revision,
                detail=detail,
            )
        )

    def told(self, process: str = "operator-1", counted: int = 1, logged: Mapping[str, int] | None = None) -> int:
        return self.add(
            Complaints(
                at_s=self.at_s,
                process=process,
                counted={"device-state": counted},
                logged=dict({f"device-state {STATE_KEY}": 1} if logged is None else logged),
            )
        )


def hands() -> Hands:
    """A settled world, an operator, and the mark `struck`."""
    story = Hands()
    story.process("spawned")
    other = settled()
    story.records += other.records
    story.at_s, story.revision, story.newest = other.at_s + 1, other.revision, other.newest
    story.asked_and_marked("struck")
    return story


def asked(check: Ask, story: Story) -> Finding:
    return check(story.history())


class TestMalformedCounted:
    def test_counted_and_named(self) -> None:
        """One entry, counted once and named once."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told()
        assert asked(malformed_counted, story).outcome == "pass"

    @pytest.mark.parametrize(
        ("counted", "logged", "says"),
        [
            (0, {f"device-state {STATE_KEY}": 1}, "counted 0 of 1"),
            (1, {}, "0 times, not once"),
            (2, {f"device-state {STATE_KEY}": 2}, "2 times, not once"),
            (2, {f"device-state {STATE_KEY}": 1, "device-state state.d.app": 1}, "which is well-formed"),
        ],
        ids=["not counted", "not named", "named twice", "another named"],
    )
    def test_otherwise(self, counted: int, logged: Mapping[str, int], says: str) -> None:
        """A counter that lags, a key that is not named, or too often, or that is in order."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told(counted=counted, logged=logged)
        finding = asked(malformed_counted, story)
        assert (finding.outcome, says in finding.reason) == ("fail", True)

    def test_the_same_key_twice(self) -> None:
        """Two values are counted twice; the key is named once."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY, "{}")
        story.told(counted=1)
        assert asked(malformed_counted, story).outcome == "fail"
        story.told(counted=2)
        assert asked(malformed_counted, story).outcome == "pass"

    def test_a_key_that_names_nothing(self) -> None:
        """Its value may be good: it is malformed all the same."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, ODD, desired())
        story.told(logged={})
        assert asked(malformed_counted, story).outcome == "fail"

    def test_only_what_an_operator_could_see(self) -> None:
        """What was replaced before it was started is not for it to count; what stood then is."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.process("exited")
        story.said(KEY, report(after_s=1))
        story.records[-1] = replaced_at(story.records[-1], 10_000)
        story.process("spawned", "operator-2")
        story.told("operator-2", counted=0, logged={})
        assert asked(malformed_counted, story).outcome == "inconclusive"
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told("operator-2", counted=1)
        assert asked(malformed_counted, story).outcome == "pass"

    def test_nobody_looked(self) -> None:
        """Without the operator's own word, or without an entry, nothing is said."""
        story = hands()
        assert asked(malformed_counted, story).outcome == "inconclusive"
        story.told(logged={})
        assert asked(malformed_counted, story).outcome == "inconclusive"


def replaced_at(record: object, revision: int) -> Op:
    assert isinstance(record, Op)
    return Op(
        at_s=record.at_s,
        client=record.client,
        action=record.action,
        target=record.target,
        invoked_s=record.invoked_s,
        outcome="ok",
        revision=revision,
        detail=record.detail,
    )


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


class TestLeftAlone:
    @pytest.mark.parametrize("bucket", list(Bucket))
    def test_left(self, bucket: Bucket) -> None:
        """It stands at the revision at which it was written."""
        story = hands()
        story.by_hand(bucket, ODD)
        story.look(bucket, ODD, planted(story.history())[-1].revision)
        assert asked(left_alone, story).outcome == "pass"

    @pytest.mark.parametrize("revision", [None, 5])
    def test_gone_or_written_again(self, revision: int | None) -> None:
        """Gone, or of another revision."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, ODD)
        story.look(Bucket.DEVICE_STATE, ODD, revision)
        assert asked(left_alone, story).outcome == "fail"

    def test_deleted_as_the_witness_saw(self) -> None:
        """A delete marker over it."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, ODD)
        revision = planted(story.history())[-1].revision
        story.stored(ODD, "", "delete")
        story.look(Bucket.DESIRED_STATE, ODD, revision)
        assert asked(left_alone, story).outcome == "fail"

    def test_it_could_not_look(self) -> None:
        """No such key, or nobody read it afterwards."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY)
        assert asked(left_alone, story).outcome == "inconclusive"
        story.by_hand(Bucket.DESIRED_STATE, ODD)
        assert asked(left_alone, story).outcome == "inconclusive"


class TestOrphansSwept:
    def ending(self, bucket: Bucket, key: str, value: str, *operations: str) -> Finding:
        story = hands()
        story.by_hand(bucket, key, value)
        for operation in operations:
            story.stored(ORPHAN, "", "delete") if operation == "delete" else story.stored(ORPHAN, desired())
        story.asked()
        return asked(orphans_swept, story)

    @pytest.mark.parametrize("value", [BAD, desired()], ids=["malformed", "good"])
    def test_swept(self, value: str) -> None:
        """Whatever its value, one delete marker."""
        assert self.ending(Bucket.DESIRED_STATE, ORPHAN, value, "delete").outcome == "pass"

    def test_a_report_of_it(self) -> None:
        """A good report of an unwanted pair gets a marker; a malformed one reports nothing."""
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", report(), "delete").outcome == "pass"
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", report()).outcome == "fail"
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", BAD).outcome == "inconclusive"

    @pytest.mark.parametrize("operations", [[], ["delete", "put"], ["delete", "delete"]], ids=["left", "back", "twice"])
    def test_not_swept(self, operations: list[str]) -> None:
        """Left, written again, or deleted twice."""
        assert self.ending(Bucket.DESIRED_STATE, ORPHAN, desired(), *operations).outcome == "fail"

    @pytest.mark.parametrize("key", [KEY, ODD], ids=["wanted", "names nothing"])
    def test_no_orphan(self, key: str) -> None:
        """What is wanted, and what names nothing, is none."""
        assert self.ending(Bucket.DESIRED_STATE, key, desired()).outcome == "inconclusive"


class TestWantedKeysUntouched:
    check = wanted_keys_untouched("struck", "end")

    def test_untouched(self) -> None:
        """Others may be written."""
        story = hands()
        story.stored(ORPHAN, "", "delete")
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "pass"

    def test_touched(self) -> None:
        """One that is wanted was written."""
        story = hands()
        story.stored(KEY, desired())
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "fail"

    def test_it_could_not_look(self) -> None:
        """No window, or a witness that missed a write."""
        assert asked(self.check, hands()).outcome == "inconclusive"
        story = hands()
        story.revision += 1
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "inconclusive"


def test_the_brake() -> None:
    """Held at any time is held; nobody who answers says nothing."""
    story = hands()
    assert asked(brake_not_held, story).outcome == "inconclusive"
    story.recovery("Converged")
    assert asked(brake_not_held, story).outcome == "pass"
    story.add(Recovery(at_s=story.at_s, process="operator-1", phase="Converged", sources={}, held="30 keys"))
    assert asked(brake_not_held, story).outcome == "fail"


def test_what_replaces_an_entry() -> None:
    """A later value or marker under the same key, whoever wrote it; no earlier one, and none of another bucket."""
    story = hands()
    story.by_hand(Bucket.DESIRED_STATE, KEY)
    entry = planted(story.history())[0]
    before = len(story.records)
    story.stored(KEY, desired())
    story.by_hand(Bucket.DESIRED_STATE, KEY, action="delete")
    story.by_hand(Bucket.DEVICE_STATE, KEY)
    story.look(Bucket.DESIRED_STATE, KEY, 10**18)
    later = story.records[before:]
    assert [replaces(record, entry) for record in later] == [True, True, True, False, False]
    assert not any(replaces(record, entry) for record in story.records[:before])
