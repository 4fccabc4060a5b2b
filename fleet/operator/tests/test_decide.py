"""Decisions about keys: what is written, what is left alone, what is the sweep's, and what fresh objects confirm."""

import pytest

from fleet.kube.objects import Deployment, Device
from fleet.operator.decide import Delete, Fresh, Put, confirm, decide_pair, decide_swept, is_orphan, is_told
from fleet.operator.desired_keys import Cell
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import (
    D1,
    WEB,
    cell,
    deployment,
    device,
    fleet_state,
    malformed,
    marker,
    pair,
    report,
    score,
)
from fleet.wire import Owner, decode_desired_state

OTHER = device(labels={"group": "other"})


def world(
    n: Deployment | None = None, d: Device | None = None, stored: Cell | None = None, *, reported: bool = False
) -> FleetState:
    state = fleet_state()
    if d is not None:
        state.upsert_device(d)
    if n is not None:
        state.upsert_deployment(n)
    if reported:
        state.report(pair(), report())
    if stored is not None:
        state.desire(pair(), stored)
    return state


def wanted(stored: Cell | None = None) -> FleetState:
    return world(deployment(generation=2), device(), stored)


def fresh(n: Deployment | None = None, d: Device | None = None, *unreadable: str) -> Fresh:
    return Fresh({n.name: n} if n else {}, {d.name: d} if d else {}, frozenset(unreadable))


@pytest.mark.rule("K1")
def test_a_missing_key_is_put_where_nothing_was() -> None:
    """A wanted key that is not there is written at revision 0, with score and owner of the Deployment."""
    decision = decide_pair(wanted(), pair())
    assert isinstance(decision, Put)
    assert (decision.expected, decision.check_afresh) == (0, False)
    value = decode_desired_state(decision.value)
    assert (value.owner, value.score) == (Owner("web-uid", 2), score())


@pytest.mark.rule("K1")
@pytest.mark.parametrize("generation", [1, 2, 3])
def test_the_same_score_is_left_alone(generation: int) -> None:
    """A change of generation alone is no reason to write, whichever of the two is the higher."""
    assert decide_pair(wanted(cell(generation=generation)), pair()) is None


@pytest.mark.rule("K1", "K3")
@pytest.mark.parametrize(
    ("stored", "check_afresh"),
    [
        pytest.param(cell(image="web:0"), False, id="older generation"),
        pytest.param(cell(image="web:0", generation=2), False, id="same generation, another score"),
        pytest.param(cell(image="web:0", generation=3), True, id="higher generation"),
        pytest.param(cell(uid="other"), True, id="foreign uid"),
        pytest.param(malformed(), True, id="malformed"),
        pytest.param(marker(), True, id="deleted"),
    ],
)
def test_a_wrong_key_is_replaced_at_its_revision(stored: Cell, *, check_afresh: bool) -> None:
    """Whatever else is stored is replaced; over what another view has written only after a fresh look."""
    decision = decide_pair(wanted(stored), pair())
    assert isinstance(decision, Put)
    assert (decision.expected, decision.check_afresh) == (7, check_afresh)
    assert decode_desired_state(decision.value).owner == Owner("web-uid", 2)


@pytest.mark.rule("K3")
def test_a_key_that_vanished_is_put_after_a_fresh_look() -> None:
    """It was there and left no trace: whoever took it away may know better."""
    state = wanted(cell(generation=2))
    state.desire(pair(), None)
    decision = decide_pair(state, pair())
    assert isinstance(decision, Put)
    assert (decision.expected, decision.check_afresh) == (0, True)


TOLD = [
    pytest.param(deployment(deleting=True), device(), id="Deployment is being deleted"),
    pytest.param(deployment(deleting=True), None, id="Deployment is being deleted, no Device"),
    pytest.param(deployment(), device(deleting=True), id="Device is being deleted"),
    pytest.param(deployment(), device(blocked=True), id="Device is blocked"),
    pytest.param(None, device(blocked=True), id="Device is blocked, no Deployment"),
]
ORPHANED = [
    pytest.param(None, None, id="neither"),
    pytest.param(deployment(), None, id="no Device"),
    pytest.param(None, device(), id="no Deployment"),
    pytest.param(deployment(), OTHER, id="not selected"),
]


@pytest.mark.rule("K4")
@pytest.mark.parametrize(("n", "d"), TOLD)
@pytest.mark.parametrize("stored", [cell(), malformed(), cell(uid="other", generation=9)])
def test_a_key_that_an_object_speaks_against_is_deleted(n: Deployment | None, d: Device | None, stored: Cell) -> None:
    """Deleted or blocked says so by name: the key goes at once, whoever owns it, and the sweep may have it too."""
    state = world(n, d, stored)
    assert decide_pair(state, pair()) == decide_swept(state, pair()) == Delete(pair(), 7)
    assert is_told(state, pair())
    assert not is_orphan(state, pair())


@pytest.mark.rule("K5")
@pytest.mark.parametrize(("n", "d"), ORPHANED)
@pytest.mark.parametrize("stored", [cell(), malformed()])
def test_a_key_that_nobody_wants_is_left_to_the_sweep(n: Deployment | None, d: Device | None, stored: Cell) -> None:
    """No object says that it is to go, so only the sweep deletes it."""
    state = world(n, d, stored)
    assert decide_pair(state, pair()) is None
    assert is_orphan(state, pair())
    assert decide_swept(state, pair()) == Delete(pair(), 7)


@pytest.mark.rule("K5")
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(wanted(cell()), id="wanted"),
        pytest.param(wanted(), id="wanted and missing"),
        pytest.param(world(stored=marker()), id="deleted already"),
        pytest.param(world(), id="never there"),
        pytest.param(world(n=deployment(deleting=True), stored=marker(), reported=True), id="deleted, still reported"),
    ],
)
def test_the_sweep_takes_nothing_else(state: FleetState) -> None:
    """Between the brake and the write a key may have become wanted, or gone."""
    assert decide_swept(state, pair()) is None
    assert not isinstance(decide_pair(state, pair()), Delete)


@pytest.mark.rule("B5")
def test_a_device_is_registered_before_its_keys_are_judged() -> None:
    """It has introduced itself and has no Device yet: its keys are no orphans, and are judged once it has one."""
    state = world(deployment(), None, cell())
    state.introduce(D1, {})
    assert not is_orphan(state, pair())
    assert decide_swept(state, pair()) is None
    state.upsert_device(OTHER)
    assert is_orphan(state, pair())
    assert decide_swept(state, pair()) == Delete(pair(), 7)


@pytest.mark.rule("R10")
@pytest.mark.parametrize("kind", ["deployment", "device"])
def test_keys_of_what_cannot_be_read_are_not_swept(kind: str) -> None:
    """An object that is there and that we cannot read may want the key."""
    state = world(deployment() if kind == "device" else None, device() if kind == "deployment" else None, cell())
    assert is_orphan(state, pair())
    (state.unreadable_deployments if kind == "deployment" else state.unreadable_devices).add(
        "web" if kind == "deployment" else "d1"
    )
    assert not is_orphan(state, pair())
    assert decide_swept(state, pair()) is None
    assert decide_pair(state, pair()) is None


@pytest.mark.rule("K7")
@pytest.mark.parametrize(("n", "d"), TOLD + ORPHANED)
def test_a_reported_pair_without_a_trace_gets_a_marker(n: Deployment | None, d: Device | None) -> None:
    """Its agent still runs what nobody wants and nobody stored: a marker at revision 0 tells it."""
    state = world(n, d, reported=True)
    assert decide_swept(state, pair()) == Delete(pair(), 0)
    assert is_told(state, pair()) == (decide_pair(state, pair()) == Delete(pair(), 0))
    state.desire(pair(), marker(3))
    assert decide_swept(state, pair()) is None


PUT = Put(pair(), deployment(generation=2).wanted, 7, check_afresh=True)
DELETE = Delete(pair(), 7)


@pytest.mark.rule("K3")
def test_fresh_objects_confirm_a_put() -> None:
    """They want it as we do: it is written as decided."""
    assert confirm(wanted(marker()), PUT, fresh(deployment(generation=2), device())) == PUT


@pytest.mark.rule("K3")
def test_fresh_objects_put_what_they_say() -> None:
    """They are newer than our view: then theirs is what is written."""
    newer = deployment(uid="web-uid-2", generation=5, image="web:5")
    confirmed = confirm(wanted(marker()), PUT, fresh(newer, device()))
    assert isinstance(confirmed, Put)
    assert (confirmed.value, confirmed.expected) == (newer.wanted, 7)


@pytest.mark.rule("K3")
def test_fresh_objects_find_nothing_left_to_put() -> None:
    """Whoever wrote the higher generation was right."""
    stored = cell(generation=3, image="web:3")
    assert confirm(wanted(stored), PUT, fresh(deployment(generation=3, image="web:3"), device())) is None
    # The same score of another object, or another score of the same: not what is wanted.
    for other in (deployment(uid="web-uid-2", image="web:3"), deployment(generation=4, image="web:4")):
        assert isinstance(confirm(wanted(stored), PUT, fresh(other, device())), Put)


@pytest.mark.rule("K3")
@pytest.mark.parametrize(
    ("n", "d"),
    [
        (None, device()),
        (deployment(), None),
        (None, None),
        (deployment(deleting=True), device()),
        (deployment(), device(blocked=True)),
        (deployment(), device(deleting=True)),
        (deployment(), OTHER),
    ],
)
def test_what_fresh_objects_do_not_want_is_deleted_and_not_put(n: Deployment | None, d: Device | None) -> None:
    """A put they speak against is not written; a delete is."""
    assert confirm(wanted(marker()), PUT, fresh(n, d)) is None
    assert confirm(world(stored=cell()), DELETE, fresh(n, d)) == DELETE


@pytest.mark.rule("K3")
def test_what_fresh_objects_want_is_not_deleted() -> None:
    """Our view was behind."""
    assert confirm(world(stored=cell()), DELETE, fresh(deployment(), device())) is None


@pytest.mark.rule("K3", "K2")
@pytest.mark.parametrize("stored", [None, marker(8), cell(8)])
def test_a_write_whose_revision_is_over_is_not_confirmed(stored: Cell | None) -> None:
    """Somebody has written since: the decision is made again on that."""
    assert confirm(world(deployment(), device(), stored), PUT, fresh(deployment(), device())) is None
    assert confirm(world(stored=stored), DELETE, fresh()) is None
    put = Put(pair(), PUT.value, 0, check_afresh=True)
    assert confirm(world(), put, fresh(deployment(generation=2), device())) == put
    assert confirm(world(), Delete(pair(), 0), fresh()) == Delete(pair(), 0)


@pytest.mark.rule("R10", "K3")
@pytest.mark.parametrize("name", [WEB, D1])
def test_fresh_objects_that_cannot_be_read_confirm_nothing(name: str) -> None:
    """Nobody knows what such an object wants."""
    assert confirm(wanted(marker()), PUT, fresh(deployment(), device(), name)) is None
    assert confirm(world(stored=cell()), DELETE, fresh(None, None, name)) is None
    assert confirm(world(stored=cell()), DELETE, fresh(None, None, "another")) == DELETE
