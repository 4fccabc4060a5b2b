"""What is done to the objects themselves: finalizers, registration, forgetting."""

import pytest

from fleet.kube.objects import Deployment, Device
from fleet.operator.lifecycle import FINALIZER, Forget, Register, SetFinalizers, decide_deployment, decide_device
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import (
    D1,
    D2,
    WEB,
    cell,
    deployment,
    device,
    fleet_state,
    malformed,
    marker,
    pair,
    report,
)
from fleet.wire import Bucket

OTHERS = ("example.org/backup", "example.org/audit")


def world(n: Deployment | None = None, d: Device | None = None) -> FleetState:
    state = fleet_state()
    if n is not None:
        state.upsert_deployment(n)
    if d is not None:
        state.upsert_device(d)
    return state


def test_what_is_not_there_is_left_alone() -> None:
    """Neither a Deployment nor a Device that nobody knows asks for anything."""
    assert decide_deployment(world(), WEB) is None
    assert decide_device(world(), D1) is None


@pytest.mark.rule("O1", "O6")
def test_every_object_carries_the_finalizer() -> None:
    """It is added behind the finalizers of others, at the version that was seen, and left alone once there."""
    state = world(deployment(finalizers=OTHERS, version="41"), device(finalizers=(), version="42"))
    assert decide_deployment(state, WEB) == SetFinalizers("deployments", "web", "41", (*OTHERS, FINALIZER))
    assert decide_device(state, D1) == SetFinalizers("devices", "d1", "42", (FINALIZER,))
    state = world(deployment(), device(finalizers=(OTHERS[0], FINALIZER, OTHERS[1])))
    assert decide_deployment(state, WEB) is None
    assert decide_device(state, D1) is None


@pytest.mark.rule("O1")
def test_a_blocked_device_carries_it_too() -> None:
    """Blocked is not deleted: its finalizer stays, and is added if it lacks."""
    assert decide_device(world(d=device(blocked=True)), D1) is None
    assert isinstance(decide_device(world(d=device(blocked=True, finalizers=())), D1), SetFinalizers)


@pytest.mark.rule("O2", "O6")
def test_a_deleted_deployment_goes_with_its_last_key() -> None:
    """While one of its keys is live, readable or not, it stays; then only our finalizer is taken off."""
    state = world(deployment(), device())
    state.upsert_device(device("d2"))
    state.desire(pair("d1"), cell())
    state.desire(pair("d2"), malformed())
    state.upsert_deployment(deployment(deleting=True, version="50", finalizers=(OTHERS[0], FINALIZER, OTHERS[1])))
    assert decide_deployment(state, WEB) is None
    state.desire(pair("d1"), marker(8))
    state.dirty_deployments.clear()
    assert decide_deployment(state, WEB) is None
    state.desire(pair("d2"), None)
    assert state.dirty_deployments == {WEB}
    assert decide_deployment(state, WEB) == SetFinalizers("deployments", "web", "50", OTHERS)


@pytest.mark.rule("O2", "K7")
def test_a_deleted_deployment_waits_for_the_marker_of_a_key_without_trace() -> None:
    """A device that still reports is told by a marker first."""
    state = world(deployment(deleting=True))
    state.report(pair(), report())
    assert decide_deployment(state, WEB) is None
    state.desire(pair(), marker())
    assert decide_deployment(state, WEB) == SetFinalizers("deployments", "web", "10", ())


@pytest.mark.rule("O2", "O3")
def test_what_is_being_deleted_gets_no_finalizer() -> None:
    """The API server would refuse one; without ours there is nothing to do."""
    state = world(deployment(deleting=True, finalizers=OTHERS), device(deleting=True, finalizers=OTHERS))
    state.introduce(D1, {})
    assert decide_deployment(state, WEB) is None
    assert decide_device(state, D1) is None


@pytest.mark.rule("O3")
def test_a_deleted_device_is_forgotten_once_its_keys_are_gone() -> None:
    """First its keys, then all that it published, its introduction last; then our finalizer is taken off."""
    state = world(deployment(), device())
    state.introduce(D1, {"group": "all"})
    state.desire(pair("d1", "web"), cell())
    state.report(pair("d1", "web"), report())
    state.report(pair("d1", "old"), report())
    state.desire(pair("d1", "old"), marker())
    state.upsert_device(device(deleting=True, version="7", finalizers=(*OTHERS, FINALIZER)))
    assert decide_device(state, D1) is None
    state.dirty_devices.clear()
    state.desire(pair("d1", "web"), marker())
    assert state.dirty_devices == {D1}
    assert decide_device(state, D1) == Forget(
        D1,
        (
            (Bucket.DEVICE_HEARTBEAT, "heartbeat.d1"),
            (Bucket.DEVICE_STATE, "state.d1.old"),
            (Bucket.DEVICE_STATE, "state.d1.web"),
            (Bucket.DEVICE_INFO, "info.d1"),
        ),
    )
    state.report(pair("d1", "web"), None)
    state.report(pair("d1", "old"), None)
    assert isinstance(decide_device(state, D1), Forget)
    state.dirty_devices.clear()
    state.introduce(D1, None)
    assert state.dirty_devices == {D1}
    assert decide_device(state, D1) == SetFinalizers("devices", "d1", "7", OTHERS)


@pytest.mark.rule("O3")
def test_a_report_alone_is_forgotten_too() -> None:
    """A deleted device that reported and never introduced itself leaves nothing behind either."""
    state = world(d=device(deleting=True))
    state.desire(pair(), marker())
    state.report(pair(), report())
    decision = decide_device(state, D1)
    assert isinstance(decision, Forget)
    assert (Bucket.DEVICE_STATE, "state.d1.web") in decision.entries
    state.dirty_devices.clear()
    state.report(pair(), None)
    assert state.dirty_devices == {D1}
    assert isinstance(decide_device(state, D1), SetFinalizers)


@pytest.mark.rule("O3")
def test_a_device_without_keys_and_reports_goes_at_once() -> None:
    """Nothing to delete, nothing to forget."""
    assert decide_device(world(d=device(deleting=True)), D1) == SetFinalizers("devices", "d1", "1", ())


@pytest.mark.rule("O4", "B5")
def test_a_device_that_introduced_itself_is_registered() -> None:
    """Its Device gets the labels of its device-info."""
    state = world()
    state.introduce(D1, {"tier": "edge"})
    assert state.dirty_devices == {D1}
    assert decide_device(state, D1) == Register(D1, {"tier": "edge"})


@pytest.mark.rule("O4")
def test_labels_are_the_administrators_after_that() -> None:
    """A device that introduces itself anew with other labels changes nothing."""
    state = world(d=device(labels={"tier": "core"}))
    state.introduce(D1, {"tier": "edge"})
    assert decide_device(state, D1) is None
    assert state.devices[D1].labels == {"tier": "core"}


@pytest.mark.rule("O4", "R10")
def test_an_object_that_cannot_be_read_is_there() -> None:
    """A Device that we cannot read is not made a second time."""
    state = world()
    state.introduce(D1, {})
    state.unreadable_devices.add(D1)
    assert decide_device(state, D1) is None


@pytest.mark.rule("O4")
def test_a_device_that_went_without_introduction_is_not_made() -> None:
    """Only device-info makes a Device; one whose introduction was deleted is forgotten."""
    state = world()
    state.introduce(D2, {})
    state.introduce(D2, None)
    assert decide_device(state, D2) is None


@pytest.mark.rule("O5")
def test_a_device_that_vanished_is_made_again() -> None:
    """Its object went past the finalizer and its device-info is there: it is registered again."""
    state = world(d=device())
    state.introduce(D1, {"tier": "edge"})
    state.dirty_devices.clear()
    state.remove_device(D1)
    assert state.dirty_devices == {D1}
    assert decide_device(state, D1) == Register(D1, {"tier": "edge"})
