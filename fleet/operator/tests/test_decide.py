"""Decisions: what is written, what is left alone, and what a delete needs to be justified."""

from collections.abc import Mapping

import pytest

from fleet.kube.objects import Deployment
from fleet.operator.decide import Delete, Put, decide_pair, decide_status, is_orphan, status_patch
from fleet.operator.state import Cell, Failure, FleetState, Standing, Tally
from fleet.operator.tests.samples import at, cell, deployment, device, marker, pair
from fleet.wire import Owner, decode_desired_state, deployment_name, device_id

MALFORMED = Cell(7, None, deleted=False)


def world(*, known: bool = True, wanted: bool = True, stored: Cell | None = None) -> FleetState:
    state = FleetState()
    if known:
        state.upsert_device(device(labels={"group": "all" if wanted else "other"}))
    state.upsert_deployment(deployment(generation=2))
    if stored is not None:
        state.desire(pair(), stored)
    return state


def test_a_missing_key_is_put_where_nothing_was() -> None:
    """A wanted key that is not there is written at revision 0, with score and owner of the Deployment."""
    decision = decide_pair(world(), pair())
    assert isinstance(decision, Put)
    assert decision.expected == 0
    assert decode_desired_state(decision.value).owner == Owner("web-uid", 2)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(cell(image="web:0"), id="another score"),
        pytest.param(cell(uid="other"), id="another owner"),
        pytest.param(MALFORMED, id="malformed"),
        pytest.param(marker(), id="deleted"),
    ],
)
def test_a_wrong_key_is_replaced_at_its_revision(stored: Cell) -> None:
    """Whatever else is stored is replaced, fenced by the revision that was seen."""
    decision = decide_pair(world(stored=stored), pair())
    assert isinstance(decision, Put)
    assert decision.expected == 7


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_the_same_score_is_left_alone(generation: int) -> None:
    """A change of generation alone is no change."""
    assert decide_pair(world(stored=cell(generation=generation)), pair()) is None


@pytest.mark.parametrize("wanted", [True, False])
def test_a_key_of_a_higher_generation_is_left_alone(*, wanted: bool) -> None:
    """Whoever wrote it has seen a newer Deployment than we have: neither overwritten nor deleted."""
    assert decide_pair(world(wanted=wanted, stored=cell(generation=3, image="web:3")), pair()) is None


def test_a_key_that_is_no_longer_selected_is_deleted() -> None:
    """Deployment and Device are here and do not match: the key goes, at its revision."""
    assert decide_pair(world(wanted=False, stored=cell()), pair()) == Delete(pair(), 7)
    assert decide_pair(world(wanted=False, stored=MALFORMED), pair()) == Delete(pair(), 7)


@pytest.mark.parametrize("stored", [None, marker()])
def test_what_is_not_there_is_not_deleted(stored: Cell | None) -> None:
    """No delete for a key that was never written or holds a marker already; it is no orphan either."""
    state = world(wanted=False, stored=stored)
    assert decide_pair(state, pair()) is None
    assert not is_orphan(state, pair())


def test_a_key_of_an_unknown_device_is_an_orphan() -> None:
    """A device that was never seen is no reason to delete: its Device may be on its way."""
    state = world(known=False, stored=cell())
    assert decide_pair(state, pair()) is None
    assert is_orphan(state, pair())


def test_a_key_of_an_unknown_deployment_is_an_orphan() -> None:
    """A Deployment that was never seen, as in an empty list, is no reason to delete."""
    state = FleetState()
    state.upsert_device(device())
    for stored in (cell(), MALFORMED):
        state.desire(pair(), stored)
        assert decide_pair(state, pair()) is None
        assert is_orphan(state, pair())


def test_a_wanted_key_is_no_orphan() -> None:
    """What is wanted is never an orphan, and neither is what may be deleted."""
    assert not is_orphan(world(stored=cell()), pair())
    assert not is_orphan(world(wanted=False, stored=cell()), pair())


def test_a_key_of_a_deployment_that_was_seen_to_go_is_deleted() -> None:
    """Seen alive and then seen deleted justifies the delete, by uid: keys of another object of that name stay."""
    state = world(stored=cell())
    state.remove_deployment(deployment_name("web"))
    assert decide_pair(state, pair()) == Delete(pair(), 7)
    state.desire(pair(), cell(8, uid="someone-else"))
    assert decide_pair(state, pair()) is None


def test_a_key_of_a_device_that_was_seen_to_go_is_deleted() -> None:
    """The keys of a deleted Device go, whoever owns them."""
    state = world(stored=cell(uid="someone-else"))
    state.remove_device(device_id("d1"))
    assert decide_pair(state, pair()) == Delete(pair(), 7)


def tally(*, pending: int = 0, succeeded: int = 0, failed: int = 0) -> Tally:
    counts = {Standing.PENDING: pending, Standing.SUCCEEDED: succeeded, Standing.FAILED: failed}
    made = Tally(counts)
    if failed:
        made.set_failure(device_id("d1"), Failure(at(1), device_id("d1"), "no image"))
    return made


def stored_as(status: Mapping[str, object] | None, *, generation: int = 1) -> Deployment:
    return deployment(status=status, generation=generation)


def ready(status: Mapping[str, object]) -> Mapping[str, object]:
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    condition = conditions[0]
    assert isinstance(condition, dict)
    return condition


@pytest.mark.parametrize(
    ("counted", "status", "reason"),
    [
        (tally(), "False", "NoDevices"),
        (tally(pending=1, succeeded=1), "False", "Progressing"),
        (tally(pending=1, failed=1), "False", "DevicesFailed"),
        (tally(succeeded=2), "True", "AllSucceeded"),
    ],
)
def test_ready_says_why(counted: Tally, status: str, reason: str) -> None:
    """Ready is true once all matched devices succeeded, and otherwise names the reason."""
    decided = decide_status(deployment(), counted, at(0))
    assert decided is not None
    assert (ready(decided)["status"], ready(decided)["reason"]) == (status, reason)


@pytest.mark.parametrize("counted", [tally(), tally(pending=3), tally(succeeded=2, failed=1), tally(succeeded=2)])
def test_an_unchanged_status_is_not_patched(counted: Tally) -> None:
    """What was decided and stored once is not decided again, however late it is."""
    status = decide_status(deployment(), counted, at(0))
    assert status is not None
    assert decide_status(stored_as(status), counted, at(5000)) is None


def test_a_new_generation_is_a_new_status() -> None:
    """An edit shows in observedGeneration even if no count changes."""
    first = decide_status(deployment(), tally(succeeded=1), at(0))
    second = decide_status(stored_as(first, generation=2), tally(succeeded=1), at(0))
    assert second is not None
    assert second["observedGeneration"] == 2


def test_the_transition_time_moves_only_when_ready_flips() -> None:
    """Counts may change while Ready keeps its status: then it keeps the time too."""
    first = decide_status(deployment(), tally(pending=2), at(0))
    assert first is not None
    second = decide_status(stored_as(first), tally(pending=1, succeeded=1), at(60.5))
    assert second is not None
    assert ready(second)["lastTransitionTime"] == ready(first)["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    third = decide_status(stored_as(second), tally(succeeded=2), at(120.5))
    assert third is not None
    assert ready(third)["lastTransitionTime"] == "2026-01-01T00:02:00Z"


@pytest.mark.parametrize("conditions", ["text", [3], [{"type": "Other", "status": "False"}], [{"type": "Ready"}]])
def test_foreign_conditions_do_not_confuse_the_transition(conditions: object) -> None:
    """Whatever somebody wrote into the conditions, ours is decided afresh."""
    decided = decide_status(stored_as({"conditions": conditions}), tally(pending=1), at(0))
    assert decided is not None
    assert ready(decided)["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_a_transition_time_of_the_wrong_type_is_replaced() -> None:
    """A time that is no text is not carried on."""
    broken = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": 7}]}
    decided = decide_status(stored_as(broken), tally(pending=1), at(0))
    assert decided is not None
    assert ready(decided)["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_the_patch_is_fenced_and_removes_an_old_error() -> None:
    """A merge patch carries the version it was decided against, and names what it removes."""
    decided = decide_status(deployment(), tally(succeeded=1), at(0))
    assert decided is not None
    patch = status_patch(deployment(version="42"), decided)
    assert patch["metadata"] == {"resourceVersion": "42"}
    status = patch["status"]
    assert isinstance(status, dict)
    assert status["aggregate"] == {"matched": 1, "succeeded": 1, "pending": 0, "failed": 0, "lastError": None}


def test_the_patch_keeps_the_last_error() -> None:
    """A failure is shown with its device, its message and its time."""
    decided = decide_status(deployment(), tally(failed=1), at(0))
    assert decided is not None
    status = status_patch(deployment(), decided)["status"]
    assert isinstance(status, dict)
    aggregate = status["aggregate"]
    assert aggregate["lastError"] == {"device": "d1", "message": "no image", "at": "2026-01-01T00:00:01.000000Z"}
