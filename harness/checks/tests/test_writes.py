"""The checks on what the operator wrote: passes, each way to fail, each way not to know."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.wire import Bucket, Phase
from harness.checks.judge import Check
from harness.checks.tests.story import MADE_AT, STEP_S, TRUE, Story, desired, report, settled, spec_of
from harness.checks.writes import (
    exactly_one_write_each,
    no_patches,
    no_writes,
    status_unchanged,
    wanted_keys_present,
)

TARGET = "site.rack.device-0.app"
WINDOWED: dict[str, Check] = {
    "no_writes": no_writes("a", "b"),
    "no_patches": no_patches("a", "b"),
    "status_unchanged": status_unchanged("a", "b"),
    "exactly_one": exactly_one_write_each("a", "b", "app", 1),
}


def windowed(during: Callable[[Story], object] = lambda _: None, devices: int = 1) -> Story:
    """A settled world, and something between the marks a and b."""
    story = settled(devices)
    story.asked_and_marked("a")
    during(story)
    story.asked_and_marked("b")
    story.asked()
    return story


@pytest.mark.parametrize("check", WINDOWED.values(), ids=WINDOWED)
@pytest.mark.parametrize("missing", ["a", "b", "order"])
def test_without_a_window_nobody_can_tell(check: Check, missing: str) -> None:
    """A mark that is missing or out of order leaves every windowed check undecided."""
    story = settled()
    for name in {"a": ["b"], "b": ["a"], "order": ["b", "a"]}[missing]:
        story.asked_and_marked(name)
    assert check(story.history()).outcome == "inconclusive"


@pytest.mark.parametrize("check", [*WINDOWED.values(), wanted_keys_present], ids=[*WINDOWED, "wanted_keys"])
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """Nobody looked, so nobody knows."""
    assert check(Story().history()).outcome == "inconclusive"


class TestNoWrites:
    check = staticmethod(no_writes("a", "b"))

    def test_quiet(self) -> None:
        """Writes before and after the window do not count."""
        story = windowed()
        story.stored(TARGET, desired())
        assert self.check(story.history()).outcome == "pass"

    @pytest.mark.parametrize("operation", ["put", "delete"])
    def test_a_write(self, operation: str) -> None:
        """A put or a delete fails it, with its line."""
        story = settled()
        story.asked_and_marked("a")
        line = story.stored(TARGET, desired(), "put" if operation == "put" else "delete")
        story.asked_and_marked("b")
        found = self.check(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    def test_borders(self) -> None:
        """What stands right before a mark belongs before it, at the same time too."""
        story = settled()
        story.stored(TARGET, desired())
        story.asked()
        story.at_s -= STEP_S
        story.mark("a")
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == "pass"

    def test_a_write_the_witness_missed(self) -> None:
        """The broker's count decides, whatever the witness saw."""
        story = windowed(lambda s: setattr(s, "revision", s.revision + 1))
        assert self.check(story.history()).outcome == "fail"

    def test_a_purge(self) -> None:
        """Messages that vanish without a write are no quiet window."""
        story = settled()
        story.asked_and_marked("a")
        story.asked([Bucket.DESIRED_STATE], messages=0)
        story.mark("b")
        assert self.check(story.history()).outcome == "fail"

    def test_a_bucket_made_again(self) -> None:
        """Revisions of two streams cannot be subtracted."""
        story = settled()
        story.asked_and_marked("a")
        story.asked([Bucket.DESIRED_STATE], made_at=MADE_AT + timedelta(seconds=1))
        story.mark("b")
        found = self.check(story.history())
        assert found.outcome == "inconclusive"
        assert "made again" in found.reason

    @pytest.mark.parametrize("where", ["a", "b"])
    def test_a_bucket_that_was_not_there(self, where: str) -> None:
        """A reading of before an earlier mark is no reading for this one."""
        story = settled()
        story.mark("earlier")
        for name in ("a", "b"):
            if name != where:
                story.asked()
            story.mark(name)
        found = self.check(story.history())
        assert found.outcome == "inconclusive"
        assert f"not there at {where}" in found.reason


class TestNoPatches:
    check = staticmethod(no_patches("a", "b"))

    def test_quiet(self) -> None:
        """Patches outside of the window, and other requests within it, do not count."""
        story = windowed(lambda s: (s.patch(verb="get"), s.patch(subresource="")))
        story.patch()
        assert self.check(story.history()).outcome == "pass"

    @pytest.mark.parametrize("verb", ["patch", "update"])
    @pytest.mark.parametrize("code", [200, 409, 422])
    def test_a_patch(self, verb: str, code: int) -> None:
        """Any write of a status counts, refused ones too."""
        lines: list[int] = []
        story = windowed(lambda s: lines.append(s.patch(verb=verb, code=code)))
        found = self.check(story.history())
        assert (found.outcome, list(found.evidence)) == ("fail", lines)

    @pytest.mark.parametrize(("off_s", "outcome"), [(-STEP_S, "pass"), (0.0, "fail")])
    def test_first_border(self, off_s: float, outcome: str) -> None:
        """It is the time of the request that counts, not the time of its line."""
        story = settled()
        story.asked_and_marked("a")
        marked_s = story.records[-1].at_s
        story.patch(requested_s=marked_s + off_s)
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == outcome

    def test_a_line_that_came_late(self) -> None:
        """A request before the second mark whose line stands after it counts."""
        story = windowed()
        story.patch(requested_s=story.history().mark("b")[1].at_s)  # type: ignore[index] # it is there
        assert self.check(story.history()).outcome == "fail"

    def test_a_deaf_witness(self) -> None:
        """An audit log that shows not one request in all shows nothing about patches."""
        story = Story()
        story.asked_and_marked("a")
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == "inconclusive"


class TestStatusUnchanged:
    check = staticmethod(status_unchanged("a", "b"))

    def test_the_same(self) -> None:
        """A new version of the object with the same status is no change of it."""
        story = windowed(lambda s: s.deployment(counts=TRUE))
        story.deployment(counts={})
        assert self.check(story.history()).outcome == "pass"

    def test_there_and_back(self) -> None:
        """A status that was wrong for a moment is a change, though it is right at the end."""
        story = settled()
        story.asked_and_marked("a")
        line = story.deployment(counts={**TRUE, "succeeded": 0})
        story.deployment(counts=TRUE)
        story.asked_and_marked("b")
        found = self.check(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    def test_a_status_that_appears(self) -> None:
        """From no status to a status is a change."""
        story = Story()
        story.deployment()
        story.asked_and_marked("a")
        story.deployment(counts=TRUE)
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == "fail"

    def test_none_had_a_status(self) -> None:
        """Where no operator ever wrote a status, that it did not change says nothing."""
        story = Story()
        story.deployment()
        story.asked_and_marked("a")
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == "inconclusive"

    def test_a_deleted_deployment_has_no_status(self) -> None:
        """One that was deleted before the window is not compared with."""
        story = settled()
        story.deployment(counts=TRUE, event="deleted")
        story.asked_and_marked("a")
        story.asked_and_marked("b")
        assert self.check(story.history()).outcome == "inconclusive"


class TestExactlyOneWriteEach:
    check = staticmethod(exactly_one_write_each("a", "b", "app", 2))
    first, second = "site.rack.device-0.app", "site.rack.device-1.app"

    def edited(self, *keys: str) -> Story:
        return windowed(lambda s: [s.stored(key, desired(generation=2)) for key in keys], devices=2)

    def test_one_each(self) -> None:
        """Each key once, in any order."""
        assert self.check(self.edited(self.second, self.first).history()).outcome == "pass"

    @pytest.mark.parametrize(
        "keys", [[0], [], [0, 0], [0, 1, 1], [0, 1, 2], [0, 2]], ids=lambda keys: "".join(map(str, keys)) or "none"
    )
    def test_others(self, keys: list[int]) -> None:
        """One missing, one twice, one too many, one of another deployment."""
        names = [(self.first, self.second, "site.rack.device-0.other")[key] for key in keys]
        found = self.check(self.edited(*names).history())
        assert found.outcome == "fail"
        assert len(found.evidence) == len(keys)

    def test_deletes_are_no_writes(self) -> None:
        """A delete of each key is not what an edit asks for."""
        story = windowed(lambda s: [s.stored(key, "", "delete") for key in (self.first, self.second)], devices=2)
        assert self.check(story.history()).outcome == "fail"

    def test_a_witness_that_missed_one(self) -> None:
        """The right number by the broker, but nobody saw on which keys."""

        def during(story: Story) -> None:
            story.stored(self.first, desired(generation=2))
            story.revision += 1

        assert self.check(windowed(during, devices=2).history()).outcome == "inconclusive"

    def test_another_number_of_devices(self) -> None:
        """A world in which the edit concerns another number than the scenario says is no pass."""
        story = self.edited(self.first, self.second)
        story.device("site.rack.device-1", blocked=True)
        assert self.check(story.history()).outcome == "fail"


class TestWantedKeysPresent:
    check = staticmethod(wanted_keys_present)

    def test_all_there(self) -> None:
        """A generation that differs is no difference: the score is what a device runs."""
        story = settled()
        story.stored(TARGET, desired(generation=7))
        story.asked()
        assert self.check(story.history()).outcome == "pass"

    @pytest.mark.parametrize("value", [desired(image="x"), desired(uid="uid-old"), "{}", None])
    def test_a_wrong_or_missing_key(self, value: str | None) -> None:
        """Another score, another object's key, a malformed value or a delete marker."""
        story = settled()
        line = story.stored(TARGET, value or "", "delete" if value is None else "put")
        story.asked()
        found = self.check(story.history())
        assert found.outcome == "fail"
        assert line in found.evidence

    def test_a_key_nobody_wants(self) -> None:
        """An orphan fails it, and is named."""
        story = settled()
        line = story.stored("gone.app", desired())
        story.asked()
        found = self.check(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))
        assert "gone.app" in found.reason

    def test_orphans_where_nothing_is_wanted(self) -> None:
        """A world without any wanted key may still hold keys that it must not."""
        story = settled()
        story.deployment(event="deleted")
        story.asked()
        assert self.check(story.history()).outcome == "fail"

    def test_nothing_wanted_and_all_purged(self) -> None:
        """The keys of a deleted Deployment are gone: that is what was asked for."""
        story = settled()
        story.deployment(event="deleted")
        story.stored(TARGET, "", "delete")
        story.asked()
        assert self.check(story.history()).outcome == "pass"

    def test_a_witness_that_missed_a_delete(self) -> None:
        """The key was there when the witness last saw it; the broker has moved on since."""
        story = settled()
        story.asked(last_seq=story.revision + 1)
        assert self.check(story.history()).outcome == "inconclusive"

    def test_an_edit_that_never_arrived(self) -> None:
        """The Deployment was edited and the key still has the old score."""
        story = settled()
        story.deployment(spec=spec_of("registry.example/app:2"))
        story.asked()
        assert self.check(story.history()).outcome == "fail"


def test_a_report_is_no_write_of_the_operator() -> None:
    """Devices that write between the marks disturb none of these checks."""
    story = windowed(lambda s: s.said(TARGET, report(Phase.RUNNING, after_s=1)))
    assert [WINDOWED[name](story.history()).outcome for name in ("no_writes", "no_patches", "status_unchanged")] == [
        "pass",
        "pass",
        "pass",
    ]
