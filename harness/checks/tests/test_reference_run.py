"""The reference-run diff: what is taken out, what is told apart, and when there is no measure."""

from collections.abc import Callable

import pytest

from fleet.canonical import loads
from fleet.wire import Phase
from harness.checks.reference_run import END_STATE_BYTES_MAX, end_state, equals_reference
from harness.checks.tests.story import TRUE, Story, desired, report, settled, spec_of, status_of
from harness.history import Mark, Reference

DEVICE = "site.rack.device-0"
TARGET = f"{DEVICE}.app"


def ended(story: Story) -> dict[str, dict[str, object]]:
    value = loads(end_state(story.history()).encode(), size_bytes_max=END_STATE_BYTES_MAX)
    assert isinstance(value, dict)
    return value


def compared(story: Story, reference: str | None = None, trouble: str = "") -> Story:
    """This story beside a clean run, which ended as `settled` does if not said otherwise."""
    text = end_state(settled().history()) if reference is None else reference
    story.add(Reference(at_s=story.at_s, run="the clean run", end_state=text, trouble=trouble))
    return story


class TestEndState:
    def test_the_sections(self) -> None:
        """Keys, reports, Deployments and Devices, each by its name."""
        assert {section: list(names) for section, names in ended(settled()).items()} == {
            "desired-state": [TARGET],
            "device-state": [TARGET],
            "Deployment": ["app"],
            "Device": [DEVICE],
        }

    def test_two_runs_differ_in_uids_times_and_revisions_alone(self) -> None:
        """Another uid everywhere, other event times, other revisions, other versions: the same end state."""
        story = Story()
        story.mark("of another time")
        story.passes(99.0)
        story.revision += 1000
        story.device(DEVICE)
        story.deployment(uid="another")
        story.stored(TARGET, desired("another"))
        story.said(TARGET, report(uid="another", after_s=50.0))
        story.deployment(counts=TRUE, uid="another")
        assert end_state(story.history()) == end_state(settled().history())

    def test_the_generation_of_a_key_is_not_told(self) -> None:
        """A key whose score is right keeps the generation that it was written with."""
        story = settled()
        story.stored(TARGET, desired(generation=7))
        assert end_state(story.history()) == end_state(settled().history())

    def test_transition_times_are_not_told_and_conditions_have_no_order(self) -> None:
        """When a condition came to be, when a failure was, and which condition stands first, means nothing."""
        texts = []
        for day, turn in (("01", 1), ("02", -1)):
            story = settled()
            status = status_of({**TRUE, "lastError": {"device": DEVICE, "at": f"2026-11-{day}"}})
            conditions = [
                {"type": kind, "status": "True", "lastTransitionTime": f"2026-11-{day}"} for kind in ("A", "B")
            ]
            story.resource("Deployment", "app", spec=spec_of(), status={**status, "conditions": conditions[::turn]})
            texts.append(end_state(story.history()))
        assert texts[0] == texts[1]

    def test_the_newest_of_each_counts(self) -> None:
        """A key that was deleted and an object that is gone are not there."""
        story = settled()
        story.stored(TARGET, "", "delete")
        story.device(DEVICE, event="deleted")
        assert ended(story)["desired-state"] == ended(story)["Device"] == {}

    def test_a_key_of_an_earlier_object_is_told_apart(self) -> None:
        """The Deployment was deleted and made again, and the key is still the old one's."""
        story = settled()
        story.deployment(event="deleted")
        story.deployment(uid="uid-new")
        assert ended(story)["desired-state"][TARGET]["owner"] == "an earlier app"  # type: ignore[index] # an object
        story.stored(TARGET, desired("uid-new"))
        assert ended(story)["desired-state"][TARGET]["owner"] == "app"  # type: ignore[index] # an object

    def test_a_malformed_value_is_told(self) -> None:
        """What cannot be read has a place in an end state, too."""
        story = settled()
        story.stored(TARGET, "{")
        assert "malformed" in str(ended(story)["desired-state"][TARGET])


def wrong_image(story: Story) -> None:
    story.stored(TARGET, desired(image="other"))


def wrong_owner(story: Story) -> None:
    story.stored(TARGET, desired("uid-nobody"))


def key_gone(story: Story) -> None:
    story.stored(TARGET, "", "delete")


def key_too_many(story: Story) -> None:
    story.stored("gone.app", desired())


def malformed(story: Story) -> None:
    story.stored(TARGET, "{}")


def other_counts(story: Story) -> None:
    story.deployment(counts={**TRUE, "succeeded": 0, "pending": 1})


def other_generation(story: Story) -> None:
    story.resource("Deployment", "app", spec=spec_of(), status=status_of(TRUE, generation=2))


def no_status(story: Story) -> None:
    story.deployment()


def other_spec(story: Story) -> None:
    story.deployment(counts=TRUE, spec=spec_of("registry.example/app:9"))


def being_deleted(story: Story) -> None:
    story.deployment(counts=TRUE, deleting=True)


def deployment_gone(story: Story) -> None:
    story.deployment(event="deleted")


def device_too_many(story: Story) -> None:
    story.device("stranger")


def device_blocked(story: Story) -> None:
    story.device(DEVICE, blocked=True)


def other_report(story: Story) -> None:
    story.said(TARGET, report(Phase.FAILED, after_s=1.0))


def report_gone(story: Story) -> None:
    story.said(TARGET, action="delete device-state")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (wrong_image, f'desired-state {TARGET}: score.services[0].image is "other", in the clean run it was'),
        (wrong_owner, f'desired-state {TARGET}: owner is "nobody", in the clean run it was "app"'),
        (key_gone, f"desired-state {TARGET} is missing"),
        (key_too_many, "desired-state gone.app is there, and was not in the clean run"),
        (malformed, f"desired-state {TARGET}: owner is null"),
        (other_counts, "Deployment app: status.aggregate.pending is 1, in the clean run it was 0"),
        (other_generation, "Deployment app: status.observedGeneration is 2, in the clean run it was 1"),
        (no_status, "Deployment app: status.aggregate is null"),
        (other_spec, 'Deployment app: spec.services[0].image is "registry.example/app:9"'),
        (being_deleted, "Deployment app: deleting is true"),
        (deployment_gone, "Deployment app is missing"),
        (device_too_many, "Device stranger is there, and was not in the clean run"),
        (device_blocked, f"Device {DEVICE}: spec.blocked is true"),
        (other_report, f'device-state {TARGET}: phase is "Failed", in the clean run it was "Running"'),
        (report_gone, f"device-state {TARGET} is missing"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_difference_is_told(how: Callable[[Story], None], words: str) -> None:
    """Which part of what differs, and how; with the line of the reference and the newest one about it."""
    story = settled()
    how(story)
    line = len(story.records)
    story.asked()
    found = equals_reference(compared(story).history())
    assert found.outcome == "fail"
    assert words in found.reason
    assert len(story.records) in found.evidence
    if not words.startswith("device-state"):
        assert line in found.evidence


def test_alike() -> None:
    """What it compared is counted."""
    found = equals_reference(compared(settled()).history())
    assert found.outcome == "pass"
    assert "1 of desired-state" in found.reason


def test_many_differences_are_not_all_told() -> None:
    """The first few, and how many more there are."""
    story = settled()
    for i in range(9):
        story.stored(f"device-{i}.gone", desired())
    story.asked()
    found = equals_reference(compared(story).history())
    assert found.reason.endswith("; and 6 more")


def test_lists_of_other_lengths() -> None:
    """There is no part to name: both are told whole."""
    story = settled()
    story.device(DEVICE)
    other = settled()
    spec = spec_of()
    other.deployment(counts=TRUE, spec={**spec, "services": []})
    found = equals_reference(compared(story, end_state(other.history())).history())
    assert "spec.services is [{" in found.reason


@pytest.mark.parametrize(
    ("reference", "trouble", "words"),
    [
        (None, "status-true fail: wrong", "the clean run is no measure: status-true fail: wrong"),
        ("{", "", "cannot be read"),
        ("[]", "", "cannot be read"),
        ('{"Device":3}', "", "cannot be read"),
        ('{"Device":{}}', "", "empty world"),
    ],
)
def test_no_measure(reference: str | None, trouble: str, words: str) -> None:
    """A clean run that was not clean, or that is not there to be read, says nothing."""
    found = equals_reference(compared(settled(), reference, trouble).history())
    assert found.outcome == "inconclusive"
    assert words in found.reason


def test_without_a_reference() -> None:
    """Nobody ran it a second time."""
    assert equals_reference(settled().history()).outcome == "inconclusive"


def test_a_witness_that_missed_something() -> None:
    """Then the end state is not what is stored."""
    story = settled()
    story.asked(last_seq=story.revision + 1)
    assert equals_reference(compared(story).history()).outcome == "inconclusive"


def test_the_last_reference_counts() -> None:
    """A case may run its workload anew."""
    story = compared(settled(), "{")
    story.add(Mark(at_s=story.at_s, name="again"))
    story.asked()
    assert equals_reference(compared(story).history()).outcome == "pass"
