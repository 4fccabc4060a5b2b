"""What the fold makes of single events. `test_model.py` compares it with a naive model over random ones."""

import pytest

from fleet.operator.state import Failure, FleetState, Standing
from fleet.operator.tests.samples import at, cell, deployment, device, marker, pair, report
from fleet.wire import Phase, deployment_name, device_id

WEB = deployment_name("web")
D1 = device_id("d1")


def counts(state: FleetState, name: str = "web") -> tuple[int, int, int]:
    tally = state.tallies[deployment_name(name)]
    return tally.counts[Standing.PENDING], tally.counts[Standing.SUCCEEDED], tally.counts[Standing.FAILED]


@pytest.fixture
def state() -> FleetState:
    """Return one deployment that runs on one device."""
    state = FleetState()
    state.upsert_deployment(deployment())
    state.upsert_device(device())
    state.desire(pair(), cell())
    return state


def test_a_new_pair_is_pending() -> None:
    """A matched device that has not reported is pending."""
    state = FleetState()
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    assert counts(state) == (1, 0, 0)
    assert state.dirty_pairs == {pair()}


@pytest.mark.parametrize(
    ("phase", "expected"), [(Phase.PENDING, (1, 0, 0)), (Phase.RUNNING, (0, 1, 0)), (Phase.FAILED, (0, 0, 1))]
)
def test_a_report_counts_by_its_phase(state: FleetState, phase: Phase, expected: tuple[int, int, int]) -> None:
    """A report about the stored desired state counts by its phase."""
    state.report(pair(), report(phase))
    assert counts(state) == expected


def test_a_report_of_another_owner_does_not_count(state: FleetState) -> None:
    """A report about a Deployment of the same name that is gone says nothing about this one."""
    state.report(pair(), report(uid="older-uid"))
    assert counts(state) == (1, 0, 0)


def test_a_report_of_an_older_generation_does_not_count(state: FleetState) -> None:
    """A device that still runs the score before is pending."""
    state.desire(pair(), cell(generation=2))
    state.report(pair(), report(generation=1))
    assert counts(state) == (1, 0, 0)
    state.report(pair(), report(generation=2, seconds=1))
    assert counts(state) == (0, 1, 0)


def test_a_report_of_a_newer_generation_counts(state: FleetState) -> None:
    """A device that acted on a later write of the same score is no worse for it."""
    state.report(pair(), report(generation=2))
    assert counts(state) == (0, 1, 0)


def test_a_report_does_not_count_before_the_key_is_written(state: FleetState) -> None:
    """A changed score makes its devices pending at once, before anything was written."""
    state.report(pair(), report())
    state.upsert_deployment(deployment(generation=2, image="web:2"))
    assert counts(state) == (1, 0, 0)


def test_an_older_event_never_overwrites_a_newer_one(state: FleetState) -> None:
    """Reports that arrive out of order leave the newest; the same time again is taken as it comes."""
    state.report(pair(), report(Phase.FAILED, seconds=5, error="no image"))
    state.report(pair(), report(Phase.RUNNING, seconds=4))
    assert counts(state) == (0, 0, 1)
    state.report(pair(), report(Phase.RUNNING, seconds=5))
    assert counts(state) == (0, 1, 0)


def test_a_deleted_report_makes_the_pair_pending_again(state: FleetState) -> None:
    """Without a report nobody knows, and an older event is news again."""
    state.report(pair(), report(seconds=5))
    state.report(pair(), None)
    assert counts(state) == (1, 0, 0)
    state.report(pair(), report(seconds=1))
    assert counts(state) == (0, 1, 0)


def test_deleting_a_report_that_was_never_there_changes_nothing(state: FleetState) -> None:
    """A delete marker for an unknown report marks nothing dirty."""
    state.dirty_status.clear()
    state.report(pair(), None)
    assert not state.dirty_status


def test_a_report_for_a_pair_that_nobody_wants_is_kept_for_later() -> None:
    """A report that replays before its Deployment counts once that comes."""
    state = FleetState()
    state.report(pair(), report())
    state.desire(pair(), cell())
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    assert counts(state) == (0, 1, 0)


def test_an_unchanged_report_dirties_no_status(state: FleetState) -> None:
    """A beat that changes no count costs no patch."""
    state.report(pair(), report())
    state.dirty_status.clear()
    state.report(pair(), report(seconds=9))
    assert not state.dirty_status


def test_the_last_error_is_the_newest_failure(state: FleetState) -> None:
    """Of several failed devices the newest failure is the last error, and the next newest when that one recovers."""
    for name, seconds in (("d2", 2.0), ("d3", 3.0)):
        state.upsert_device(device(name))
        state.desire(pair(name), cell())
        state.report(pair(name), report(Phase.FAILED, seconds=seconds, error=f"{name} broke"))
    tally = state.tallies[WEB]
    assert tally.last_failure == Failure(at(3), device_id("d3"), "d3 broke")
    state.report(pair("d3"), report(seconds=4))
    state.report(pair("d1"), report(Phase.FAILED, seconds=1))
    assert tally.last_failure == Failure(at(2), device_id("d2"), "d2 broke")
    state.report(pair("d1"), report(Phase.FAILED, seconds=7, error="again"))
    assert tally.last_failure == Failure(at(7), D1, "again")


def test_an_older_failure_is_not_the_last_error(state: FleetState) -> None:
    """A failure that arrives late but happened earlier does not hide the newest."""
    state.upsert_device(device("d2"))
    state.desire(pair("d2"), cell())
    state.report(pair("d1"), report(Phase.FAILED, seconds=9, error="new"))
    state.report(pair("d2"), report(Phase.FAILED, seconds=1, error="old"))
    failure = state.tallies[WEB].last_failure
    assert failure is not None
    assert failure.message == "new"


def test_no_failure_no_last_error(state: FleetState) -> None:
    """A Deployment whose devices all run has no last error."""
    assert state.tallies[WEB].last_failure is None
    assert state.tallies[WEB].matched == 1


@pytest.mark.parametrize("changed", [device(blocked=True), device(deleting=True), device(labels={"group": "other"})])
def test_a_device_that_no_longer_matches_is_counted_out(state: FleetState, changed: object) -> None:
    """Blocked, being deleted or relabelled: it leaves the counts, and comes back with its report."""
    assert isinstance(changed, type(device()))
    state.report(pair(), report())
    state.upsert_device(changed)
    assert counts(state) == (0, 0, 0)
    state.upsert_device(device())
    assert counts(state) == (0, 1, 0)


def test_a_change_that_matching_does_not_see_dirties_nothing(state: FleetState) -> None:
    """An update of a Device that changes neither labels nor eligibility costs nothing."""
    state.dirty_pairs.clear()
    state.dirty_status.clear()
    state.upsert_device(device())
    assert not state.dirty_pairs
    assert not state.dirty_status


def test_a_selector_moves_the_pairs(state: FleetState) -> None:
    """A changed selector takes its old devices out and its new ones in."""
    state.upsert_device(device("d2", labels={"group": "other"}))
    state.upsert_deployment(deployment(generation=2, selector={"group": "other"}))
    assert state.matched[WEB] == {device_id("d2")}
    assert not state.is_matched(pair("d1"))


def test_a_deployment_that_is_being_deleted_matches_nothing(state: FleetState) -> None:
    """A deletion timestamp ends the match; the pairs are decided again."""
    state.dirty_pairs.clear()
    state.upsert_deployment(deployment(deleting=True))
    assert counts(state) == (0, 0, 0)
    assert state.dirty_pairs == {pair()}


def test_a_removed_deployment_leaves_no_counts(state: FleetState) -> None:
    """After a removal nothing of the Deployment is counted or patched, and its keys are decided again."""
    state.dirty_pairs.clear()
    state.remove_deployment(WEB)
    assert WEB not in state.tallies
    assert WEB not in state.dirty_status
    assert "web-uid" in state.departed_uids
    assert state.dirty_pairs == {pair()}


def test_removing_what_was_never_seen_changes_nothing(state: FleetState) -> None:
    """A removal of an unknown object justifies no deletes."""
    state.remove_deployment(deployment_name("nope"))
    state.remove_device(device_id("nope"))
    assert not state.departed_uids
    assert not state.departed_devices


def test_a_uid_that_is_seen_again_has_not_departed(state: FleetState) -> None:
    """A cluster restored from a backup brings a uid back: its keys are not those of a deleted object."""
    state.remove_deployment(WEB)
    state.upsert_deployment(deployment())
    assert not state.departed_uids


def test_another_uid_under_the_same_name_means_that_the_old_one_is_gone(state: FleetState) -> None:
    """Deleted and made again between two lists: the first object has departed."""
    state.upsert_deployment(deployment(uid="web-uid-2"))
    assert state.departed_uids == {"web-uid"}
    assert not state.is_settled(pair())


def test_a_removed_device_has_departed_until_it_is_seen_again(state: FleetState) -> None:
    """A removal justifies deletes of its keys, a device of the same name ends that."""
    state.dirty_pairs.clear()
    state.remove_device(D1)
    assert state.departed_devices == {D1}
    assert state.dirty_pairs == {pair()}
    state.upsert_device(device())
    assert not state.departed_devices


def test_a_generation_that_catches_up_is_compared_again(state: FleetState) -> None:
    """A key of a higher generation is settled only until the Deployment reaches that generation with another score."""
    state.desire(pair(), cell(generation=2, image="web:hand-edited"))
    assert state.is_settled(pair())
    state.dirty_pairs.clear()
    state.upsert_deployment(deployment(generation=2))
    assert not state.is_settled(pair())
    assert pair() in state.dirty_pairs


def test_a_key_whose_device_appears_is_decided_again(state: FleetState) -> None:
    """A stored key that nobody wants is looked at again when its device is seen for the first time."""
    state.desire(pair("d9"), cell())
    state.dirty_pairs.clear()
    state.upsert_device(device("d9", labels={}))
    assert pair("d9") in state.dirty_pairs


def test_a_vanished_key_unsettles_its_pair(state: FleetState) -> None:
    """A key that left no trace and a delete marker both make the pair pending."""
    state.report(pair(), report())
    state.desire(pair(), None)
    assert counts(state) == (1, 0, 0)
    state.desire(pair(), cell())
    assert counts(state) == (0, 1, 0)
    state.desire(pair(), marker())
    assert counts(state) == (1, 0, 0)
