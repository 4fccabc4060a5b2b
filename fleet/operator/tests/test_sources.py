"""News from informers and replicas: folded in, counted, and one bad entry poisons nothing."""

import json
import re

import pytest
from structlog.testing import capture_logs

from fleet.bus.replica import Entry
from fleet.operator import sources
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.sources import SOURCES, Books
from fleet.operator.state import Cell, FleetState
from fleet.operator.tests.samples import deployment, device, pair, report, score
from fleet.wire import DeploymentName, DesiredState, Owner, Pair, desired_key, state_key

GOOD = DesiredState(Owner("web-uid", 1), score()).encode()


class Told:
    """A writer that only remembers what it heard."""

    def __init__(self) -> None:
        self.keys: list[Pair | DeploymentName] = []
        self.restarts = 0

    def heard(self, key: Pair | DeploymentName) -> None:
        self.keys.append(key)

    def restarted(self) -> None:
        self.restarts += 1


class World:
    def __init__(self) -> None:
        self.state = FleetState()
        self.recovery = Recovery(SOURCES)
        self.metrics = Metrics()
        self.wakes = 0
        self.told = Told()
        books = Books(self.recovery, self.metrics, self.wake)
        self.books = books
        self.deployments = sources.deployments_source(self.state, books, self.told)
        self.devices = sources.devices_source(self.state, books)
        self.desired = sources.desired_source(self.state, books, self.told)
        self.reports = sources.reports_source(self.state, books)

    def wake(self) -> None:
        self.wakes += 1

    def malformed(self, source: str) -> float:
        text = self.metrics.render(self.recovery).decode()
        found = re.search(rf'fleet_malformed_total{{source="{source}"}} (\S+)', text)
        return float(found[1]) if found else 0.0


@pytest.fixture
def world() -> World:
    return World()


def test_converged_once_every_source_replayed(world: World) -> None:
    """The four sources replay in any order; the writers are woken at each, and `converged` is logged once."""
    with capture_logs() as logs:
        for source in (world.reports, world.desired, world.devices, world.deployments):
            assert not world.recovery.converged
            source.replay_started()
            source.expecting(0)
            source.replayed()
    assert world.recovery.converged
    assert world.wakes == 4
    assert [line["event"] for line in logs].count("converged") == 1


def test_a_lost_source_revokes(world: World) -> None:
    """`lost` ends convergence with its reason."""
    for source in (world.reports, world.desired, world.devices, world.deployments):
        source.replayed()
    world.devices.lost("connection refused")
    assert not world.recovery.converged
    assert world.recovery.sources["devices"].trouble == "connection refused"


def test_a_replay_frees_the_keys_that_wait_for_an_echo(world: World) -> None:
    """A replay of the bucket or of the list tells its writer; that of devices and reports tells none."""
    for source in (world.desired, world.deployments, world.devices, world.reports):
        source.replay_started()
    assert world.told.restarts == 2


def test_custom_resources_are_folded(world: World) -> None:
    """Upserts and removals reach the state, the writer that waits for the echo, and the wake-up."""
    world.deployments.upsert(deployment())
    world.devices.upsert(device())
    assert world.state.is_matched(pair())
    world.deployments.removed("web")
    world.devices.removed("d1")
    assert not world.state.deployments
    assert not world.state.devices
    assert world.told.keys == ["web", "web"]
    assert world.wakes == 4
    assert world.recovery.sources["deployments"].seen == 1


@pytest.mark.parametrize("name", ["a.b", "", "UPPER"])
def test_the_removal_of_a_malformed_name_is_no_crash(world: World, name: str) -> None:
    """What was never folded in, since its name is no name of ours, cannot be taken out."""
    world.deployments.malformed(name, "bad name")
    world.deployments.removed(name)
    world.devices.malformed("", "bad name")
    world.devices.removed("")
    assert world.told.keys == []


def test_a_desired_key_is_folded(world: World) -> None:
    """A good value, malformed bytes, a marker and a key without a trace each become what decisions see."""
    key = desired_key(pair())
    world.desired.entry(Entry(key, 5, GOOD))
    assert world.state.desired[pair()] == Cell(5, DesiredState(Owner("web-uid", 1), score()), deleted=False)
    world.desired.entry(Entry(key, 6, b"{"))
    assert world.state.desired[pair()] == Cell(6, None, deleted=False)
    world.desired.entry(Entry(key, 7, None))
    assert world.state.desired[pair()] == Cell(7, None, deleted=True)
    world.desired.entry(Entry(key, 0, None))
    assert pair() not in world.state.desired
    assert world.told.keys == [pair()] * 4
    assert world.malformed("desired-state") == 1


def test_a_report_is_folded(world: World) -> None:
    """A good report counts, a malformed one leaves the last good one, a marker deletes it."""
    key = state_key(pair())
    world.reports.entry(Entry(key, 5, report().encode()))
    assert world.state.reports[pair()] == report()
    broken = json.loads(report().encode()) | {"phase": "Dancing"}
    world.reports.entry(Entry(key, 6, json.dumps(broken).encode()))
    assert world.state.reports[pair()] == report()
    assert world.malformed("device-state") == 1
    world.reports.entry(Entry(key, 7, None))
    assert pair() not in world.state.reports


@pytest.mark.parametrize("key", ["web", "d1.", ".web", "D1.web", "d1.we b", "info.d1.web"])
def test_a_key_that_cannot_be_parsed_is_left_alone(world: World, key: str) -> None:
    """Counted each time, logged once, and not folded in."""
    with capture_logs() as logs:
        for _ in range(3):
            world.reports.entry(Entry(key, 5, b"x"))
    assert world.malformed("device-state") == 3
    assert [line["key"] for line in logs] == [key]
    assert not world.state.reports
    assert world.recovery.sources["device-state"].seen == 3


def test_a_source_is_current_again_without_noise(world: World) -> None:
    """A watch that is renewed in good order is no news."""
    world.devices.replayed()
    with capture_logs() as logs:
        world.devices.replayed()
    assert logs == []
