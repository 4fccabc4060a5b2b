"""Random events, folded one by one, against a model that recomputes everything from the facts each time."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube.objects import Deployment, Device
from fleet.operator.decide import Delete, Put, decide_pair, is_orphan
from fleet.operator.state import Cell, Failure, FleetState, Standing, Tally
from fleet.operator.tests.samples import cell, deployment, device, marker, pair, report
from fleet.wire import DeploymentName, DesiredState, DeviceId, DeviceState, Owner, Pair, Phase, decode_desired_state

DEVICES = ("d1", "d2", "d.3")
DEPLOYMENTS = ("web", "db")
PAIRS = [pair(d, n) for d, n in product(DEVICES, DEPLOYMENTS)]
Decision = Put | Delete | None
Event = Callable[[FleetState], None]

images = st.sampled_from(["web:1", "web:2"])
generations = st.integers(1, 3)
label_sets = st.sampled_from([{"group": "all"}, {"group": "other"}, {"group": "all", "x": "y"}])


@dataclass
class Model:
    """The facts as last told, and nothing derived from them."""

    deployments: dict[DeploymentName, Deployment] = field(default_factory=dict)
    devices: dict[DeviceId, Device] = field(default_factory=dict)
    reports: dict[Pair, DeviceState] = field(default_factory=dict)
    cells: dict[Pair, Cell] = field(default_factory=dict)
    gone_uids: set[str] = field(default_factory=set)
    gone_devices: set[DeviceId] = field(default_factory=set)

    def matches(self, p: Pair) -> bool:
        d, n = self.devices.get(p.device), self.deployments.get(p.deployment)
        if d is None or n is None or d.blocked or d.deleting or n.deleting:
            return False
        return all(d.labels.get(key) == value for key, value in n.selector.items())

    def standing(self, p: Pair) -> Standing:
        n, stored, told = self.deployments[p.deployment], self.cells.get(p), self.reports.get(p)
        value = stored.value if stored else None
        if value is None or told is None or not self.settled(value, n):
            return Standing.PENDING
        if told.owner.uid != value.owner.uid or told.owner.generation < value.owner.generation:
            return Standing.PENDING
        return {
            Phase.RUNNING: Standing.SUCCEEDED,
            Phase.FAILED: Standing.FAILED,
            Phase.PENDING: Standing.PENDING,
        }[told.phase]

    @staticmethod
    def settled(value: DesiredState, n: Deployment) -> bool:
        return value.owner.uid == n.uid and (value.score == n.score or value.owner.generation > n.generation)

    def tally(self, name: DeploymentName) -> tuple[dict[Standing, int], Failure | None]:
        mine = [p for p in PAIRS if p.deployment == name and self.matches(p)]
        counts = {s: sum(self.standing(p) is s for p in mine) for s in Standing}
        failures = [
            Failure(self.reports[p].last_event_at, p.device, self.reports[p].last_error or "")
            for p in mine
            if self.standing(p) is Standing.FAILED
        ]
        return counts, max(failures, default=None)

    def decision(self, p: Pair) -> Decision:
        n, stored = self.deployments.get(p.deployment), self.cells.get(p)
        value = stored.value if stored else None
        if n is not None and self.matches(p):
            if value is not None and self.settled(value, n):
                return None
            bytes_ = DesiredState(Owner(n.uid, n.generation), n.score).encode()
            return Put(p, bytes_, stored.revision if stored else 0)
        if stored is None or stored.deleted:
            return None
        return Delete(p, stored.revision) if self.justified(p, value, n) else None

    def justified(self, p: Pair, value: DesiredState | None, n: Deployment | None) -> bool:
        if p.device in self.gone_devices:
            return True
        if n is not None and p.device in self.devices:
            return value is None or value.owner.uid != n.uid or value.owner.generation <= n.generation
        return value is not None and value.owner.uid in self.gone_uids

    def upsert_deployment(self, n: Deployment) -> None:
        old = self.deployments.get(n.name)
        if old is not None and old.uid != n.uid:
            self.gone_uids.add(old.uid)
        self.gone_uids.discard(n.uid)
        self.deployments[n.name] = n

    def remove_deployment(self, name: DeploymentName) -> None:
        if old := self.deployments.pop(name, None):
            self.gone_uids.add(old.uid)

    def upsert_device(self, d: Device) -> None:
        self.gone_devices.discard(d.name)
        self.devices[d.name] = d

    def remove_device(self, name: DeviceId) -> None:
        if self.devices.pop(name, None):
            self.gone_devices.add(name)

    def report(self, p: Pair, told: DeviceState | None) -> None:
        if told is None:
            self.reports.pop(p, None)
        elif p not in self.reports or self.reports[p].last_event_at <= told.last_event_at:
            self.reports[p] = told

    def desire(self, p: Pair, stored: Cell | None) -> None:
        self.cells.pop(p, None)
        if stored is not None:
            self.cells[p] = stored


def uid_of(name: str, number: int) -> str:
    return f"{name}-{number}"


deployment_objects = st.builds(
    lambda name, number, generation, image, labels, deleting: deployment(
        name, uid=uid_of(name, number), generation=generation, image=image, selector=labels, deleting=deleting
    ),
    st.sampled_from(DEPLOYMENTS),
    st.sampled_from([0, 0, 0, 1]),
    generations,
    images,
    label_sets,
    st.sampled_from([False, False, False, True]),
)
device_objects = st.builds(
    lambda name, labels, blocked, deleting: device(name, labels=labels, blocked=blocked, deleting=deleting),
    st.sampled_from(DEVICES),
    label_sets,
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)
revisions = st.integers(1, 1000)
reports = st.builds(
    lambda p, number, generation, phase, seconds, error: (
        p,
        report(phase, uid=uid_of(p.deployment, number), generation=generation, seconds=seconds, error=error),
    ),
    st.sampled_from(PAIRS),
    st.sampled_from([0, 0, 0, 1]),
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
    st.sampled_from(PAIRS),
    st.sampled_from([0, 0, 0, 1]),
    generations,
    images,
    revisions,
)
odd_cells = st.tuples(
    st.sampled_from(PAIRS),
    st.one_of(st.none(), revisions.map(marker), revisions.map(lambda r: Cell(r, None, deleted=False))),
)
events = st.one_of(
    deployment_objects.map(lambda n: ("upsert_deployment", n)),
    st.sampled_from([p.deployment for p in PAIRS]).map(lambda n: ("remove_deployment", n)),
    device_objects.map(lambda d: ("upsert_device", d)),
    st.sampled_from([p.device for p in PAIRS]).map(lambda d: ("remove_device", d)),
    reports.map(lambda r: ("report", *r)),
    st.sampled_from(PAIRS).map(lambda p: ("report", p, None)),
    cells.map(lambda c: ("desire", *c)),
    odd_cells.map(lambda c: ("desire", *c)),
)


# Where random events would seldom lead: everything matched, written and looked at.
SETTLED: list[tuple[tuple[object, ...], bool]] = [
    *((("upsert_deployment", deployment(name, uid=uid_of(name, 0))), False) for name in DEPLOYMENTS),
    *((("upsert_device", device(name)), False) for name in DEVICES),
    *((("desire", p, cell(uid=uid_of(p.deployment, 0))), True) for p in PAIRS),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([[], SETTLED]), st.lists(st.tuples(events, st.booleans()), max_size=30))
def test_the_fold_agrees_with_a_recount(
    before: list[tuple[tuple[object, ...], bool]], steps: list[tuple[tuple[object, ...], bool]]
) -> None:
    """Counts, matches and decisions are those of a model that derives nothing; what is not dirty has not changed."""
    state, model = FleetState(), Model()
    decided: dict[Pair, Decision] = {}
    seen: dict[DeploymentName, object] = {}
    for (name, *arguments), drain in [*before, *steps, (("report", PAIRS[0], None), True)]:
        assert isinstance(name, str)
        getattr(state, name)(*arguments)
        getattr(model, name)(*arguments)
        if not drain:
            continue
        decided |= {p: decide_pair(state, p) for p in state.dirty_pairs}
        state.dirty_pairs.clear()
        assert {p: decided.get(p) for p in PAIRS} == {p: model.decision(p) for p in PAIRS}
        for n in state.dirty_status & state.deployments.keys():
            seen[n] = summary(state.tallies[n])
        state.dirty_status.clear()
        assert {n: seen[n] for n in state.deployments} == {n: model.tally(n) for n in model.deployments}
        assert {p for p in PAIRS if state.is_matched(p)} == {p for p in PAIRS if model.matches(p)}


def summary(tally: Tally) -> tuple[dict[Standing, int], Failure | None]:
    assert tally.matched == sum(tally.counts.values())
    return dict(tally.counts), tally.last_failure


@settings(max_examples=200, deadline=None)
@given(
    st.lists(deployment_objects, max_size=2, unique_by=lambda n: n.name),
    st.lists(device_objects, max_size=3, unique_by=lambda d: d.name),
    st.lists(cells, max_size=6, unique_by=lambda c: c[0]),
    st.lists(reports, max_size=8, unique_by=lambda r: (r[0], r[1].last_event_at)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_independent_events_does_not_matter(
    deployments: list[Deployment],
    devices: list[Device],
    stored: list[tuple[Pair, Cell]],
    told: list[tuple[Pair, DeviceState]],
    shuffled: random.Random,
) -> None:
    """Four sources replay at once, in any interleaving, to the same decisions and counts."""
    steps: list[tuple[object, ...]] = [
        *(("upsert_deployment", n) for n in deployments),
        *(("upsert_device", d) for d in devices),
        *(("desire", p, c) for p, c in stored),
        *(("report", p, r) for p, r in told),
    ]
    results = []
    for _ in range(2):
        state = FleetState()
        for name, *arguments in steps:
            assert isinstance(name, str)
            getattr(state, name)(*arguments)
        results.append(
            (
                {p: decide_pair(state, p) for p in PAIRS},
                {n: summary(state.tallies[n]) for n in state.deployments},
                {p for p in PAIRS if is_orphan(state, p)},
            )
        )
        shuffled.shuffle(steps)
    assert results[0] == results[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=30))
def test_a_decision_that_was_carried_out_is_not_made_again(steps: list[tuple[object, ...]]) -> None:
    """Deciding is idempotent: with the write applied there is nothing left to write, and the key is no orphan."""
    state = FleetState()
    for name, *arguments in steps:
        assert isinstance(name, str)
        getattr(state, name)(*arguments)
    for p in PAIRS:
        decision = decide_pair(state, p)
        if decision is None:
            continue
        match decision:
            case Put():
                state.desire(p, Cell(decision.expected + 1, decode_desired_state(decision.value), deleted=False))
            case Delete():
                state.desire(p, marker(decision.expected + 1))
        assert decide_pair(state, p) is None
        assert not is_orphan(state, p)
