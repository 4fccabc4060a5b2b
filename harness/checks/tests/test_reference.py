"""The reference model against worlds made by hand."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.wire import Bucket, HealthCheck, Phase, PullPolicy, Resources
from harness.checks.reference import Aggregate, World, score_of, status_aggregate, witness_gap
from harness.checks.tests.story import MADE_AT, Story, desired, report, score, settled, spec_of
from harness.history import Resource

KEY = ("site.rack.device-0", "app")
TARGET = "site.rack.device-0.app"


def world(story: Story) -> World:
    return World.at_end(story.history())


def test_dotted_ids_are_split_at_the_last_dot() -> None:
    """A device id may hold dots, a deployment name may not."""
    found = world(settled())
    assert found.wanted.keys() == found.stored.keys() == found.reports.keys() == {KEY}


def test_a_spec_becomes_the_score_of_the_contract() -> None:
    """Defaults of the schema are filled in, camelCase becomes the wire's names."""
    assert score_of(spec_of()) == score()


def test_a_full_spec_becomes_a_full_score() -> None:
    """Nothing that a spec may hold is lost on the way."""
    made = score_of(
        {
            "services": [
                {
                    "name": "a",
                    "image": "i",
                    "command": ["x", "y"],
                    "env": [{"name": "EMPTY"}],
                    "ports": [{"containerPort": 1, "hostPort": 2, "protocol": "UDP"}],
                    "volumes": [{"source": "v", "target": "/t", "readOnly": True}],
                    "resources": {"memoryBytes": 2**26},
                    "imagePullPolicy": "Never",
                    "healthCheck": {"command": ["ok"], "timeoutSecs": 1},
                }
            ],
            "lifecycle": {"stopSignal": "SIGINT", "gracePeriodSecs": 0},
        }
    )
    service = made.services[0]
    assert service.command == ("x", "y")
    assert (service.env[0].name, service.env[0].value) == ("EMPTY", "")
    assert service.ports[0].protocol == "UDP"
    assert service.volumes[0].read_only
    assert service.resources == Resources(None, 2**26)
    assert service.image_pull_policy == PullPolicy.NEVER
    assert service.health_check == HealthCheck(("ok",), 30, 1, 3)
    assert (made.lifecycle.stop_signal, made.lifecycle.grace_period_secs) == ("SIGINT", 0)


@pytest.mark.parametrize("how", ["blocked", "deleting", "deleted", "other labels"])
def test_a_device_that_does_not_count_is_not_wanted(how: str) -> None:
    """A blocked, ending, deleted or otherwise labelled device has no key and is in no count, whatever it reported."""
    story = settled()
    story.device(
        KEY[0],
        blocked=how == "blocked",
        deleting=how == "deleting",
        labels={"group": "other"} if how == "other labels" else {"group": "g0"},
        event="deleted" if how == "deleted" else "modified",
    )
    assert not world(story).wanted
    assert world(story).aggregate("app") == Aggregate()


@pytest.mark.parametrize("how", ["deleting", "deleted"])
def test_a_deployment_that_ends_wants_nothing(how: str) -> None:
    """A finalizer that is pending changes nothing about that."""
    story = settled()
    story.deployment(deleting=how == "deleting", event="deleted" if how == "deleted" else "modified")
    assert not world(story).wanted
    assert ("app" in world(story).deployments) == (how == "deleting")


def test_an_empty_selector_selects_nothing() -> None:
    """The contract refuses it; it never means every device."""
    story = Story()
    story.device("d")
    story.deployment(spec=spec_of(selector={}))
    assert not world(story).wanted


def test_a_delete_marker_takes_a_key_away() -> None:
    """A deleted key is not stored; one that was put again is."""
    story = settled()
    story.stored(TARGET, "", "delete")
    assert KEY not in world(story).stored
    story.stored(TARGET, desired())
    assert world(story).stored[KEY] is not None


def test_a_malformed_value_is_a_key_without_a_value() -> None:
    """Bytes that are no desired state leave the key there, and nobody runs it."""
    story = settled()
    story.stored(TARGET, "{}")
    assert world(story).stored == {KEY: None}
    assert world(story).aggregate("app").pending == 1


@pytest.mark.parametrize(
    ("uid", "generation", "expected"),
    [
        ("uid-app", 2, Aggregate(1, 1, 0, 0)),
        ("uid-app", 3, Aggregate(1, 1, 0, 0)),
        ("uid-app", 1, Aggregate(1, 0, 1, 0)),
        ("uid-old", 9, Aggregate(1, 0, 1, 0)),
    ],
)
def test_a_report_counts_for_what_it_acted_on(uid: str, generation: int, expected: Aggregate) -> None:
    """An older generation, or another object of that name, leaves the device pending."""
    story = settled()
    story.stored(TARGET, desired(generation=2))
    story.said(TARGET, report(uid=uid, generation=generation, after_s=1))
    assert world(story).aggregate("app") == expected


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.RUNNING, Aggregate(1, 1, 0, 0)),
        (Phase.FAILED, Aggregate(1, 0, 0, 1)),
        (Phase.PENDING, Aggregate(1, 0, 1, 0)),
    ],
)
def test_each_phase_has_its_count(phase: Phase, expected: Aggregate) -> None:
    """Running succeeded, Failed failed, and the rest is pending."""
    story = settled()
    story.said(TARGET, report(phase, after_s=1))
    assert world(story).aggregate("app") == expected


def test_the_last_event_wins_not_the_last_write() -> None:
    """A report that is older by its event time changes nothing; of equal ones the later write counts."""
    story = settled()
    story.said(TARGET, report(Phase.FAILED, after_s=-1))
    assert world(story).reports[KEY].phase is Phase.RUNNING
    story.said(TARGET, report(Phase.FAILED))
    assert world(story).reports[KEY].phase is Phase.FAILED


@pytest.mark.parametrize("outcome", ["fail", "info"])
def test_only_acknowledged_reports_count(outcome: str) -> None:
    """What nobody knows to be stored is not held against the product."""
    story = settled()
    story.said(TARGET, report(Phase.FAILED, after_s=1), outcome="fail" if outcome == "fail" else "info")
    assert world(story).reports[KEY].phase is Phase.RUNNING


def test_a_forgotten_report_is_gone_and_an_older_one_may_follow() -> None:
    """A delete of device-state leaves nothing to compare with."""
    story = settled()
    story.said(TARGET, action="delete device-state")
    assert KEY not in world(story).reports
    story.said(TARGET, report(after_s=-5))
    assert world(story).reports[KEY].last_event_at == MADE_AT - timedelta(seconds=5)


def test_a_malformed_report_is_no_report() -> None:
    """A device that writes nonsense does not break the model, and has said nothing."""
    story = settled()
    story.said(TARGET, "{")
    assert KEY not in world(story).reports


def test_a_status_without_counts_shows_none() -> None:
    """No status is not the same as a status of zeros."""
    story = Story()
    story.deployment()
    story.deployment("zero", counts={})
    first, second = (r for r in story.records if isinstance(r, Resource))
    assert status_aggregate(first) is None
    assert status_aggregate(second) == Aggregate()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Phase)), min_size=1, max_size=12))
def test_counts_add_up_to_the_matched(reports: list[tuple[int, Phase]]) -> None:
    """Each matched device is in exactly one count, whatever was reported in which order."""
    story = settled(devices=4)
    for number, (device, phase) in enumerate(reports, start=1):
        story.said(f"site.rack.device-{device}.app", report(phase, after_s=number))
    counts = world(story).aggregate("app")
    last = dict(reports)
    assert counts.matched == counts.succeeded + counts.pending + counts.failed == 4
    assert counts.failed == sum(phase is Phase.FAILED for phase in last.values())


class TestWitnessGap:
    """Whether the witness of desired-state can have seen everything."""

    def test_no_gap(self) -> None:
        """The counters agree, delete markers included."""
        story = settled(devices=2)
        story.stored(TARGET, "", "delete")
        story.asked()
        assert witness_gap(story.history()) is None

    def test_nothing_at_all(self) -> None:
        """Where no bucket is, nothing was missed."""
        assert witness_gap(Story().history()) is None

    def test_a_missed_write(self) -> None:
        """The broker has a newer write than the witness."""
        story = settled()
        story.asked([Bucket.DESIRED_STATE], last_seq=story.revision + 1)
        assert "newest write" in str(witness_gap(story.history()))

    def test_a_missed_write_in_the_middle(self) -> None:
        """The newest write was seen, but another key was not."""
        story = settled()
        story.asked([Bucket.DESIRED_STATE], messages=2)
        assert "the witness saw 1" in str(witness_gap(story.history()))

    def test_a_purged_stream(self) -> None:
        """A purge tells nobody: the keys are gone, and the witness still has them."""
        story = settled()
        story.asked([Bucket.DESIRED_STATE], messages=0)
        assert witness_gap(story.history()) is not None

    def test_a_bucket_that_is_gone(self) -> None:
        """It was read before the last mark and not after it."""
        story = settled()
        story.mark("end")
        assert "not there at the end" in str(witness_gap(story.history()))

    def test_a_bucket_made_again(self) -> None:
        """What the witness saw belongs to the stream of before."""
        story = settled()
        story.asked([Bucket.DESIRED_STATE], first_seq=1, last_seq=1, messages=1)
        assert witness_gap(story.history()) is not None

    def test_many_values_per_key(self) -> None:
        """Counting keys by messages needs a history of one; the newest write is compared all the same."""
        story = settled()
        story.stored(TARGET, desired())
        story.asked([Bucket.DESIRED_STATE], messages=2, history_per_key=5)
        assert witness_gap(story.history()) is None

    def test_a_write_while_asking(self) -> None:
        """A write after the broker was asked says nothing about what was missed before."""
        story = settled()
        story.stored("d2.app", desired())
        assert witness_gap(story.history()) is None
