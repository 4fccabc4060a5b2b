"""How a matched pair counts: by its report, its key and the silence of its device."""

import pytest

from fleet.operator.state import FleetState
from fleet.operator.tally import Standing
from fleet.operator.tests.samples import (
    D1,
    LIMIT_S,
    ONE_FAILED,
    ONE_PENDING,
    ONE_STALE,
    ONE_SUCCEEDED,
    WEB,
    at,
    cell,
    clean,
    counts,
    deployment,
    device,
    fleet_state,
    malformed,
    pair,
    report,
)
from fleet.wire import Phase, device_id


@pytest.mark.rule("S4")
def test_a_new_pair_is_pending() -> None:
    """A matched device that has not reported is pending, even if it is silent; all of it is to be looked at."""
    state = fleet_state()
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    assert counts(state) == ONE_PENDING
    assert state.standings.tallies[WEB].unsettled == 1
    assert (set(state.dirty_pairs), state.dirty_status) == ({pair()}, {WEB})
    assert (state.dirty_deployments, state.dirty_devices) == ({WEB}, {D1})
    state.advance(LIMIT_S + 1)
    assert counts(state) == ONE_PENDING


@pytest.mark.rule("S3", "S4")
@pytest.mark.parametrize(
    ("phase", "expected"), [(Phase.PENDING, ONE_PENDING), (Phase.RUNNING, ONE_SUCCEEDED), (Phase.FAILED, ONE_FAILED)]
)
def test_a_report_counts_by_its_phase(state: FleetState, phase: Phase, expected: dict[Standing, int]) -> None:
    """A report about the stored desired state counts by its phase."""
    state.report(pair(), report(phase))
    assert counts(state) == expected


@pytest.mark.rule("S4")
def test_a_report_about_another_owner_does_not_count(state: FleetState) -> None:
    """A report about a Deployment of the same name that is gone says nothing about this one."""
    state.report(pair(), report(uid="older-uid"))
    assert counts(state) == ONE_PENDING


@pytest.mark.rule("S4")
def test_a_report_about_an_older_generation_does_not_count(state: FleetState) -> None:
    """A device that still runs the score before is pending."""
    state.desire(pair(), cell(generation=2))
    state.report(pair(), report(generation=1))
    assert counts(state) == ONE_PENDING
    state.report(pair(), report(generation=2, seconds=1))
    assert counts(state) == ONE_SUCCEEDED


@pytest.mark.rule("S3")
def test_a_report_about_a_newer_generation_counts(state: FleetState) -> None:
    """A device that acted on a later write of the same score is no worse for it."""
    state.report(pair(), report(generation=2))
    assert counts(state) == ONE_SUCCEEDED


@pytest.mark.rule("S3", "S4")
def test_a_report_counts_only_for_a_key_that_is_as_asked(state: FleetState) -> None:
    """A changed score makes its devices pending at once, before anything was written; so do malformed bytes."""
    state.report(pair(), report())
    state.upsert_deployment(deployment(generation=2, image="web:2"))
    assert counts(state) == ONE_PENDING
    assert state.standings.tallies[WEB].unsettled == 1
    state.desire(pair(), cell(8, generation=2, image="web:2"))
    assert counts(state) == ONE_PENDING
    assert state.standings.tallies[WEB].unsettled == 0
    state.report(pair(), report(generation=2))
    assert counts(state) == ONE_SUCCEEDED
    state.desire(pair(), malformed(9))
    assert counts(state) == ONE_PENDING


@pytest.mark.rule("K1", "S3")
def test_a_generation_alone_unsettles_nothing(state: FleetState) -> None:
    """An edit of the selector raises the generation: keys and reports of the same score hold."""
    state.report(pair(), report())
    state.upsert_deployment(deployment(generation=2))
    assert counts(state) == ONE_SUCCEEDED
    assert state.desired.is_settled(pair())


@pytest.mark.rule("S1", "S2")
def test_a_silent_device_is_stale_for_what_it_reported(state: FleetState) -> None:
    """Whatever it said last: once silent it counts as stale and as nothing else, until it beats."""
    for phase in Phase:
        state.report(pair(), report(phase))
    state.advance(LIMIT_S + 1)
    assert counts(state) == ONE_STALE
    state.report(pair(), report(uid="older-uid", seconds=1))
    assert counts(state) == ONE_STALE
    state.report(pair(), report(seconds=2))
    clean(state)
    state.beat(D1, LIMIT_S + 2)
    assert counts(state) == ONE_SUCCEEDED
    assert state.dirty_status == {WEB}


@pytest.mark.rule("L2")
def test_a_device_of_which_nobody_knows_is_undecided(state: FleetState) -> None:
    """Overdue, but perhaps because of us: neither stale nor anything else, and to be looked at again."""
    state.report(pair(), report())
    state.liveness.broken()
    clean(state)
    state.advance(LIMIT_S + 1)
    assert counts(state) == {Standing.UNDECIDED: 1}
    assert state.dirty_status == {WEB}


@pytest.mark.rule("L3")
def test_a_device_that_never_beat_goes_stale_with_the_bucket() -> None:
    """It reports and does not beat: judged from the bucket's creation on. One that never reported stays pending."""
    state = fleet_state(device_id("d9"))
    state.upsert_deployment(deployment())
    for name in ("d1", "d2", "d9"):
        state.upsert_device(device(name))
        state.desire(pair(name), cell())
    for name in ("d1", "d9"):
        state.report(pair(name), report())
    state.report(pair("d2"), report())
    state.report(pair("d2"), None)
    state.advance(1.0)
    assert counts(state) == {Standing.SUCCEEDED: 2, Standing.PENDING: 1}
    state.beat(device_id("d9"), 60.0)
    state.advance(LIMIT_S + 1)
    assert counts(state) == {Standing.SUCCEEDED: 1, Standing.STALE: 1, Standing.PENDING: 1}
    state.beat(D1, LIMIT_S + 2)
    assert counts(state) == {Standing.SUCCEEDED: 2, Standing.PENDING: 1}


def test_a_forgotten_beat_is_judged_anew(state: FleetState) -> None:
    """A silent device whose heartbeat entry was deleted is one that never beat."""
    state.report(pair(), report())
    state.advance(LIMIT_S + 1)
    assert counts(state) == ONE_STALE
    state.liveness.opened(created_s=LIMIT_S + 1, broker_now_s=LIMIT_S + 1, now_s=LIMIT_S + 1)
    state.advance(LIMIT_S + 1)
    assert counts(state) == ONE_STALE
    state.beat_forgotten(D1)
    assert counts(state) == ONE_SUCCEEDED


@pytest.mark.rule("S5")
def test_an_older_event_never_overwrites_a_newer_one(state: FleetState) -> None:
    """Reports that arrive out of order leave the newest; the same time again is taken as it comes."""
    state.report(pair(), report(Phase.FAILED, seconds=5, error="no image"))
    state.report(pair(), report(Phase.RUNNING, seconds=4))
    assert counts(state) == ONE_FAILED
    state.report(pair(), report(Phase.RUNNING, seconds=5))
    assert counts(state) == ONE_SUCCEEDED


@pytest.mark.rule("S6")
def test_an_event_is_never_later_than_its_storing(state: FleetState) -> None:
    """A clock of the year 2099 counts as the broker's; one that is behind counts as it is."""
    state.report(pair(), report(Phase.FAILED, seconds=2.3e9, error="ahead"), at(10))
    assert state.reports[pair()].last_event_at == at(10)
    assert counts(state) == ONE_FAILED
    state.report(pair(), report(seconds=11), at(12))
    assert state.reports[pair()].last_event_at == at(11)
    assert counts(state) == ONE_SUCCEEDED


def test_a_deleted_report_makes_the_pair_pending_again(state: FleetState) -> None:
    """Without a report nobody knows, and an older event is news again."""
    state.report(pair(), report(seconds=5))
    state.report(pair(), None)
    assert counts(state) == ONE_PENDING
    assert state.reported(D1) == []
    state.report(pair(), report(seconds=1))
    assert counts(state) == ONE_SUCCEEDED


def test_deleting_a_report_that_was_never_there_changes_nothing(state: FleetState) -> None:
    """A delete marker for an unknown report marks nothing dirty."""
    state.report(pair(), None)
    assert not state.dirty_status
    assert not state.dirty_devices


def test_a_report_for_a_pair_that_nobody_wants_is_kept_for_later() -> None:
    """A report that replays before its Deployment counts once that comes."""
    state = fleet_state()
    state.report(pair(), report())
    state.desire(pair(), cell())
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    assert counts(state) == ONE_SUCCEEDED


@pytest.mark.rule("S12")
def test_news_that_changes_no_count_dirties_nothing(state: FleetState) -> None:
    """A report of the same phase, a beat of a living device and an unchanged Device cost no patch and no write."""
    state.report(pair(), report())
    clean(state)
    state.report(pair(), report(seconds=9))
    state.beat(D1, 9.0)
    state.upsert_device(device())
    assert not state.dirty_status
    assert not state.dirty_pairs


@pytest.mark.rule("S7")
def test_the_last_error_is_the_newest_failure(state: FleetState) -> None:
    """Of several failed devices the newest failure is told, then the next newest; none is left when all recovered."""
    for name, seconds in (("d2", 2.0), ("d3", 3.0)):
        state.beat(device_id(name), 0.0)
        state.upsert_device(device(name))
        state.desire(pair(name), cell())
        state.report(pair(name), report(Phase.FAILED, seconds=seconds, error=name))
    tally = state.standings.tallies[WEB]
    assert tally.last_failure is not None
    assert tally.last_failure.message == "d3"
    state.upsert_device(device("d3", blocked=True))
    assert tally.last_failure is not None
    assert (tally.last_failure.message, tally.last_failure.at) == ("d2", at(2))
    clean(state)
    state.report(pair("d2"), report(Phase.FAILED, seconds=4))
    assert (tally.last_failure.message, tally.last_failure.at) == ("", at(4))
    assert state.dirty_status == {WEB}
    state.report(pair("d2"), report(seconds=5))
    assert tally.last_failure is None
