"""Random events, folded one by one, against a model that recomputes everything from the facts each time."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.kube.objects import Deployment, Device
from fleet.operator.decide import Delete, Put, decide_pair, decide_swept, is_orphan, is_told
from fleet.operator.decoding import Report
from fleet.operator.desired_keys import Cell
from fleet.operator.lifecycle import decide_deployment, decide_device
from fleet.operator.state import FleetState
from fleet.operator.tests.model import DEPLOYMENTS, DEVICES, PAIRS, Twin
from fleet.operator.tests.samples import LIMIT_S, at, cell, deployment, device, malformed, marker, pair, report
from fleet.wire import DeploymentName, DeviceId, Pair, Phase, decode_desired_state

Event = tuple[str, object] | tuple[str, object, object] | tuple[str, object, object, object] | tuple[str]


def uid_of(name: str, number: int) -> str:
    return f"{name}-{number}"


pairs = st.sampled_from(PAIRS)
seldom = st.sampled_from([False, False, False, True])
uids = st.sampled_from([0, 0, 0, 1])
images = st.sampled_from(["web:1", "web:2"])
generations = st.integers(1, 3)
label_sets = st.sampled_from([{"group": "all"}, {"group": "other"}, {"group": "all", "x": "y"}])
deployment_objects = st.builds(
    lambda name, number, generation, image, labels, deleting: deployment(
        name, uid=uid_of(name, number), generation=generation, image=image, selector=labels, deleting=deleting
    ),
    st.sampled_from(DEPLOYMENTS),
    uids,
    generations,
    images,
    label_sets,
    seldom,
)
device_objects = st.builds(
    lambda name, labels, blocked, deleting: device(name, labels=labels, blocked=blocked, deleting=deleting),
    st.sampled_from(DEVICES),
    label_sets,
    seldom,
    seldom,
)
revisions = st.integers(1, 1000)
reports = st.builds(
    lambda p, number, generation, phase, seconds, error: (
        p,
        report(phase, uid=uid_of(p.deployment, number), generation=generation, seconds=seconds, error=error),
    ),
    pairs,
    uids,
    generations,
    st.sampled_from(Phase),
    st.integers(0, 4),
    st.sampled_from([None, "no image"]),
)
cells = st.builds(
    lambda p, number, generation, image, revision: (
        p,
        cell(revision, uid=uid_of(p.deployment, number), generation=generation, image=image),
    ),
    pairs,
    uids,
    generations,
    images,
    revisions,
)
odd_cells = st.tuples(pairs, st.one_of(st.none(), revisions.map(marker), revisions.map(malformed)))
stored_times = st.sampled_from([None, at(2), at(9)])
events: st.SearchStrategy[Event] = st.one_of(
    deployment_objects.map(lambda n: ("upsert_deployment", n)),
    device_objects.map(lambda d: ("upsert_device", d)),
    st.sampled_from(DEPLOYMENTS).map(lambda n: ("remove_deployment", n)),
    st.sampled_from(DEVICES).map(lambda d: ("remove_device", d)),
    st.sampled_from([*DEPLOYMENTS, *DEVICES]).map(lambda name: ("unreadable", name)),
    st.tuples(st.just("introduce"), st.sampled_from(DEVICES), st.none() | label_sets),
    st.tuples(reports, stored_times).map(lambda r: ("report", *r[0], r[1])),
    pairs.map(lambda p: ("report", p, None)),
    cells.map(lambda c: ("desire", *c)),
    odd_cells.map(lambda c: ("desire", *c)),
    st.sampled_from(DEVICES).map(lambda d: ("beat", d)),
    st.sampled_from(DEVICES).map(lambda d: ("beat_forgotten", d)),
    st.sampled_from([30.0, LIMIT_S, LIMIT_S + 1]).map(lambda seconds: ("wait", seconds)),
    st.sampled_from([("reconnect",), ("remake",)]),
)
# Where random events would seldom lead: everything matched, written and reported.
SETTLED: list[Event] = [
    *(("beat", name) for name in DEVICES),
    *(("upsert_deployment", deployment(name, uid=uid_of(name, 0))) for name in DEPLOYMENTS),
    *(("upsert_device", device(name)) for name in DEVICES),
    *(("desire", p, cell(uid=uid_of(p.deployment, 0))) for p in PAIRS),
    *(("report", p, report(uid=uid_of(p.deployment, 0))) for p in PAIRS),
]
starts = st.sampled_from([[], SETTLED])


@settings(max_examples=300, deadline=None)
@given(starts, st.lists(events, max_size=40))
def test_the_fold_agrees_with_a_recount(before: list[Event], steps: list[Event]) -> None:
    """After every event, all that the state keeps adjusted is what a recount of the facts gives."""
    twin = Twin()
    for event in [*before, *steps]:
        twin.fold(*event)
        twin.agree()


@pytest.mark.rule("R2")
@settings(max_examples=300, deadline=None)
@given(starts, st.lists(st.tuples(events, st.booleans()), max_size=40), st.lists(events, max_size=10))
def test_judging_after_a_replay_comes_to_the_same(
    before: list[Event], replayed: list[tuple[Event, bool]], news: list[Event]
) -> None:
    """Judged once at its end or at each event: no mark is missing on the way, and then the state is the same."""
    later, at_once = Twin(), Twin()
    later.state.judge_later()

    def fold(event: Event) -> None:
        for twin in (later, at_once):
            twin.fold(*event)
        assert at_once.state.dirty_pairs <= later.state.dirty_pairs
        for known, ours, theirs in (
            (later.state.deployments, later.state.dirty_deployments, at_once.state.dirty_deployments),
            (later.state.devices, later.state.dirty_devices, at_once.state.dirty_devices),
        ):
            assert known.keys() & theirs <= ours

    for event, drain in [*((event, False) for event in before), *replayed]:
        fold(event)
        assert (later.state.unwanted.pairs, later.state.unwanted.of_deployment.total()) == (set(), 0)
        if drain:
            for state in (later.state, at_once.state):
                state.dirty_pairs.clear()
                state.dirty_status.clear()
    later.state.judge_now()
    later.agree()
    for event in news:
        fold(event)
        later.agree()
        assert later.state.deployments.keys() & at_once.state.dirty_status <= later.state.dirty_status


def summary(state: FleetState, name: DeploymentName) -> object:
    tally = state.standings.tallies[name]
    return dict(tally.counts), tally.unsettled, tally.last_failure


@settings(max_examples=300, deadline=None)
@given(starts, st.lists(st.tuples(events, st.booleans()), max_size=40))
def test_what_is_not_marked_has_not_changed(before: list[Event], steps: list[tuple[Event, bool]]) -> None:
    """Whoever looks only at what is dirty, and once a second at what is unwanted, misses no decision."""
    twin = Twin()
    state = twin.state
    decided: dict[Pair, Put | Delete | None] = {}
    seen: dict[DeploymentName, object] = {}
    idle_deployments: set[DeploymentName] = set()
    idle_devices: set[DeviceId] = set()
    for event, drain in [*((event, False) for event in before), *steps, (("report", PAIRS[0], None), True)]:
        twin.fold(*event)
        if not drain:
            continue
        looked_at = state.dirty_pairs | {p for p in state.unwanted.pairs if is_told(state, p)}
        decided |= {p: decide_pair(state, p) for p in looked_at}
        state.dirty_pairs.clear()
        now = {p: decision for p in PAIRS if (decision := decide_pair(state, p)) is not None}
        assert now == {p: decided.get(p) for p in now}
        seen |= {n: summary(state, n) for n in state.dirty_status & state.deployments.keys()}
        state.dirty_status.clear()
        assert {n: seen[n] for n in state.deployments} == {n: summary(state, n) for n in state.deployments}
        idle_deployments -= state.dirty_deployments
        idle_devices -= state.dirty_devices
        state.dirty_deployments.clear()
        state.dirty_devices.clear()
        assert {n for n in idle_deployments if decide_deployment(state, n)} == set()
        assert {d for d in idle_devices if decide_device(state, d)} == set()
        idle_deployments |= {n for n in DEPLOYMENTS if not decide_deployment(state, n)}
        idle_devices |= {d for d in DEVICES if not decide_device(state, d)}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(deployment_objects, max_size=2, unique_by=lambda n: n.name),
    st.lists(device_objects, max_size=3, unique_by=lambda d: d.name),
    st.lists(cells, max_size=6, unique_by=lambda c: c[0]),
    st.tuples(
        st.lists(reports, max_size=8, unique_by=lambda r: (r[0], r[1].last_event_at)),
        st.lists(st.sampled_from(DEVICES), unique=True),
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_independent_events_does_not_matter(
    deployments: list[Deployment],
    devices: list[Device],
    stored: list[tuple[Pair, Cell]],
    told: tuple[list[tuple[Pair, Report]], list[DeviceId]],
    shuffled: random.Random,
) -> None:
    """The sources replay at once, in any interleaving, to the same decisions and counts."""
    steps: list[Event] = [
        *(("upsert_deployment", n) for n in deployments),
        *(("upsert_device", d) for d in devices),
        *(("desire", p, c) for p, c in stored),
        *(("report", p, r) for p, r in told[0]),
        *(("beat", d) for d in told[1]),
    ]
    results = []
    for _ in range(2):
        twin = Twin()
        for event in steps:
            twin.fold(*event)
        twin.agree()
        state = twin.state
        results.append(
            (
                {p: decide_pair(state, p) for p in PAIRS},
                {n: summary(state, n) for n in state.deployments},
                {p for p in state.unwanted.pairs if is_orphan(state, p)},
            )
        )
        shuffled.shuffle(steps)
    assert results[0] == results[1]


@settings(max_examples=200, deadline=None)
@given(starts, st.lists(events, max_size=30))
@example([], [("desire", pair(), malformed())])
def test_a_decision_that_was_carried_out_is_not_made_again(before: list[Event], steps: list[Event]) -> None:
    """Deciding is idempotent: with the write applied there is nothing left to write, and the key is no orphan."""
    twin = Twin()
    for event in [*before, *steps]:
        twin.fold(*event)
    for p in PAIRS:
        decision = decide_pair(twin.state, p) or decide_swept(twin.state, p)
        if decision is None:
            continue
        written = marker(decision.expected + 1)
        if isinstance(decision, Put):
            written = Cell(decision.expected + 1, decode_desired_state(decision.value), deleted=False)
        twin.fold("desire", p, written)
        assert decide_pair(twin.state, p) is None
        assert decide_swept(twin.state, p) is None
        twin.agree()
