"""What the fold makes of single events: matches, keys, marks. `test_model.py` compares it with a naive model."""

import pytest

from fleet.kube.objects import Deployment, Device
from fleet.operator.desired_keys import Cell
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import (
    D1,
    D2,
    DB,
    ONE_FAILED,
    ONE_PENDING,
    ONE_SUCCEEDED,
    WEB,
    cell,
    clean,
    counts,
    deployment,
    device,
    fleet_state,
    malformed,
    marker,
    pair,
    report,
)
from fleet.wire import Phase, deployment_name, device_id


@pytest.mark.parametrize("changed", [device(blocked=True), device(deleting=True), device(labels={"group": "other"})])
def test_a_device_that_no_longer_matches_is_counted_out(state: FleetState, changed: Device) -> None:
    """Blocked, being deleted or relabelled: it leaves the counts, and comes back with its report."""
    state.report(pair(), report(Phase.FAILED))
    state.upsert_device(changed)
    assert counts(state) == {}
    assert state.standings.tallies[WEB].last_failure is None
    assert state.unwanted.pairs == {pair()}
    assert pair() in state.dirty_pairs
    state.upsert_device(device())
    assert counts(state) == ONE_FAILED
    assert state.unwanted.pairs == set()


def test_a_selector_moves_the_pairs(state: FleetState) -> None:
    """A changed selector takes its old devices out and its new ones in."""
    state.upsert_device(device("d2", labels={"group": "other"}))
    state.upsert_deployment(deployment(generation=2, selector={"group": "other"}))
    assert state.standings.devices_of(WEB) == {D2}
    assert pair("d1") not in state.standings
    assert set(state.dirty_pairs) == {pair("d1"), pair("d2")}


def test_a_deployment_that_is_being_deleted_matches_nothing(state: FleetState) -> None:
    """A deletion timestamp ends the match; the pairs are decided again."""
    state.upsert_deployment(deployment(deleting=True))
    assert counts(state) == {}
    assert set(state.dirty_pairs) == {pair()}


def test_keys_of_a_deployment_that_comes_deleted_are_decided() -> None:
    """First seen while it is being deleted: its keys go now, whether a Device of theirs is there or not."""
    state = fleet_state()
    state.desire(pair(), cell())
    clean(state)
    state.upsert_deployment(deployment(deleting=True))
    assert set(state.dirty_pairs) == {pair()}


@pytest.mark.rule("S12")
def test_another_status_is_looked_at(state: FleetState) -> None:
    """Somebody has patched it: whether it is still right is decided, and no key is."""
    state.upsert_deployment(deployment(status={"observedGeneration": 9}))
    assert state.dirty_status == {WEB}
    assert not state.dirty_pairs


def test_a_removed_deployment_leaves_no_counts(state: FleetState) -> None:
    """After a removal nothing of the Deployment is counted or patched, and its keys are nobody's."""
    state.upsert_deployment(deployment(status={"x": "y"}))
    state.remove_deployment(WEB)
    assert WEB not in state.standings.tallies
    assert not state.standings.devices_of(WEB)
    assert WEB not in state.dirty_status
    assert not state.desired.is_settled(pair())
    assert state.unwanted.pairs == {pair()}
    assert pair() in state.dirty_pairs


def test_a_removed_device_leaves_its_keys_to_nobody(state: FleetState) -> None:
    """Its pairs are no longer counted; it may have to be registered again."""
    state.remove_device(D1)
    assert counts(state) == {}
    assert state.unwanted.pairs == {pair()}
    assert state.dirty_devices == {D1}
    state.upsert_deployment(deployment("db"))
    assert state.standings.devices_of(WEB) == state.standings.devices_of(DB) == set()


def test_an_unreadable_device_that_goes_may_have_to_be_registered(state: FleetState) -> None:
    """It was there and nobody could read it; now it is not there, and it has introduced itself."""
    state.introduce(D2, {})
    state.unreadable_devices.add(D2)
    clean(state)
    state.remove_device(D2)
    assert state.dirty_devices == {D2}


def test_removing_what_was_never_seen_changes_nothing(state: FleetState) -> None:
    """A removal of an unknown object marks nothing."""
    state.remove_deployment(deployment_name("nope"))
    state.remove_device(device_id("nope"))
    assert not state.dirty_pairs
    assert not state.dirty_devices
    assert "nope" not in state.standings.tallies


@pytest.mark.parametrize("changed", [deployment(uid="web-uid-2"), deployment(generation=2, image="web:2")])
def test_another_object_or_score_unsettles_its_keys(state: FleetState, changed: Deployment) -> None:
    """Deleted and made again under its name between two lists, or edited: every key is to be written."""
    state.upsert_deployment(changed)
    assert not state.desired.is_settled(pair())
    assert state.standings.tallies[WEB].unsettled == 1
    assert pair() in state.dirty_pairs
    assert WEB in state.dirty_status


@pytest.mark.rule("R10")
def test_what_cannot_be_read_is_known_as_it_was(state: FleetState) -> None:
    """Unreadable is not gone: counts and matches stay. Readable again or removed, it is no longer unreadable."""
    state.unreadable_deployments.add(WEB)
    state.unreadable_devices.add(D1)
    assert counts(state) == ONE_PENDING
    state.upsert_deployment(deployment(generation=2))
    state.upsert_device(device())
    assert not state.unreadable_deployments
    assert not state.unreadable_devices
    for _ in range(2):
        state.unreadable_deployments.add(WEB)
        state.unreadable_devices.add(D1)
        state.remove_deployment(WEB)
        state.remove_device(D1)
        assert not state.unreadable_deployments
        assert not state.unreadable_devices


@pytest.mark.rule("K5", "K7")
@pytest.mark.parametrize(
    ("stored", "reported", "unwanted"),
    [
        pytest.param(cell(), False, True, id="live"),
        pytest.param(cell(), True, True, id="live and reported"),
        pytest.param(malformed(), False, True, id="malformed"),
        pytest.param(marker(), True, False, id="marked and reported"),
        pytest.param(marker(), False, False, id="marked"),
        pytest.param(None, True, True, id="reported without a trace"),
        pytest.param(None, False, False, id="nothing"),
    ],
)
def test_unwanted_is_what_a_device_may_still_run(stored: Cell | None, *, reported: bool, unwanted: bool) -> None:
    """A live key, or none and a report; a marker tells the agent already. A wanted pair is never unwanted."""
    state = fleet_state()
    state.desire(pair(), stored)
    if reported:
        state.report(pair(), report())
    assert state.unwanted.pairs == ({pair()} if unwanted else set())
    assert state.unwanted.of_deployment[WEB] == state.unwanted.of_device[D1] == unwanted
    clean(state)
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    assert state.unwanted.pairs == set()
    assert state.unwanted.of_deployment[WEB] == state.unwanted.of_device[D1] == 0


@pytest.mark.rule("K5", "R2")
def test_what_is_unwanted_is_judged_after_a_replay() -> None:
    """Until then nothing is, whatever comes in; then live keys and traceless reports of no Deployment are, and stay."""
    state = fleet_state()
    state.judge_later()
    state.desire(pair(), cell())
    state.desire(pair("d2"), cell())
    state.report(pair(deployment="db"), report())
    state.desire(pair("d2", "db"), marker())
    state.upsert_device(device())
    state.upsert_deployment(deployment())
    state.upsert_device(device("gone"))
    state.desire(pair("gone"), cell())
    state.remove_device(device_id("gone"))
    assert (state.unwanted.pairs, +state.unwanted.of_deployment, +state.unwanted.of_device) == (set(), {}, {})
    state.judge_now()
    assert state.unwanted.pairs == {pair("d2"), pair("gone"), pair(deployment="db")}
    assert (state.unwanted.of_deployment[WEB], state.unwanted.of_deployment[DB]) == (2, 1)
    assert (state.unwanted.of_device[D1], state.unwanted.of_device[D2]) == (1, 1)
    state.desire(pair("d2"), None)
    assert state.unwanted.pairs == {pair("gone"), pair(deployment="db")}


def test_a_key_that_goes_lets_its_objects_be_looked_at(state: FleetState) -> None:
    """The last unwanted key of an object may be what its finalizer waits for."""
    state.upsert_deployment(deployment(deleting=True))
    clean(state)
    state.desire(pair(), marker())
    assert (state.dirty_deployments, state.dirty_devices) == ({WEB}, {D1})


def test_live_keys_are_counted(state: FleetState) -> None:
    """Values and malformed bytes are live; markers and keys without a trace are not."""
    assert state.desired.live == 1
    state.desire(pair("d1", "db"), malformed())
    assert state.desired.live == 2
    state.desire(pair(), cell(8))
    assert state.desired.live == 2
    state.desire(pair(), marker(9))
    assert state.desired.live == 1
    state.desire(pair(), None)
    state.desire(pair(), None)
    assert state.desired.live == 1


@pytest.mark.rule("K3")
def test_a_key_that_vanished_is_remembered_until_it_is_back(state: FleetState) -> None:
    """Live and then gone without a marker; a marker that goes is no such thing."""
    state.report(pair(), report())
    state.desire(pair(), None)
    assert state.desired.vanished == {pair()}
    assert counts(state) == ONE_PENDING
    state.desire(pair(), cell())
    assert state.desired.vanished == set()
    assert counts(state) == ONE_SUCCEEDED
    state.desire(pair(), marker())
    assert counts(state) == ONE_PENDING
    state.desire(pair(), None)
    assert state.desired.vanished == set()
    assert not state.desired.cells.of(WEB)


@pytest.mark.rule("O4")
def test_an_introduction_is_looked_at_and_kept(state: FleetState) -> None:
    """Labels of each device-info are known until it is deleted; deleting it twice is fine."""
    state.introduce(D2, {"tier": "edge"})
    assert (state.infos, state.dirty_devices) == ({D2: {"tier": "edge"}}, {D2})
    for _ in range(2):
        clean(state)
        state.introduce(D2, None)
        assert (state.infos, state.dirty_devices) == ({}, {D2})


def test_what_a_device_reports_about() -> None:
    """Its own pairs, in order; an unknown device has none."""
    state = fleet_state()
    for p in (pair("d1", "web"), pair("d1", "db"), pair("d2", "web")):
        state.report(p, report())
    assert state.reported(D1) == [pair("d1", "db"), pair("d1", "web")]
    assert state.reported(device_id("nope")) == []


@pytest.mark.rule("K1")
def test_a_value_that_is_shared_is_compared_anew_for_another_score(state: FleetState) -> None:
    """Keys that hold the same bytes are one comparison, and what it gave holds for that score and uid only."""
    state.upsert_device(device("d2"))
    state.desire(pair("d2"), cell())
    assert state.desired.is_settled(pair("d2"))
    state.upsert_deployment(deployment(generation=2, image="web:2"))
    assert not state.desired.is_settled(pair())
    assert not state.desired.is_settled(pair("d2"))
    state.upsert_deployment(deployment(generation=3))
    assert state.desired.is_settled(pair())
    state.upsert_deployment(deployment(uid="web-uid-2"))
    assert not state.desired.is_settled(pair("d2"))
