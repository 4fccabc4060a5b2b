"""News from informers and replicas: folded in, counted, and one bad entry poisons nothing."""

import pytest
from structlog.testing import capture_logs

from fleet.bus.entry import Entries, Entry
from fleet.bus.replica import StreamFacts
from fleet.operator import books
from fleet.operator.tests.feeding import Fed
from fleet.operator.tests.samples import EPOCH, deployment, device, pair
from fleet.wire import Heartbeat, desired_key

GOOD = deployment().wanted
AT_S = EPOCH.timestamp()
BEAT = Heartbeat(instance_id="i", agent_version="1", sequence=1, busy=False).encode()
INFO = b'{"agent_version":"1","arch":"x","boot_id":"b","labels":{"tier":"edge"},"os":"o"}'
FOUND = StreamFacts(created_s=0.0, broker_now_s=0.0, made=False, replaced=False)


@pytest.fixture
def fed() -> Fed:
    return Fed()


@pytest.mark.rule("R2")
def test_converged_once_every_source_replayed(fed: Fed) -> None:
    """The five replay in any order, an empty one too; then the writers are woken, and `converged` is logged once."""
    with capture_logs() as logs:
        for source in fed.gating:
            assert not fed.recovery.converged
            source.replay_started()
            source.expecting(0)
            source.replayed()
    assert fed.recovery.converged
    assert fed.wakes == 1
    assert [line["event"] for line in logs].count("converged") == 1


@pytest.mark.rule("R2")
def test_device_info_is_beside(fed: Fed) -> None:
    """It does not keep the operator from converging, and its loss does not end that; its news wake the writers."""
    fed.converge()
    assert not fed.recovery.sources["device-info"].current
    fed.infos.replay_started()
    fed.infos.replayed()
    assert fed.wakes == 1
    fed.infos.lost("gone")
    assert fed.recovery.converged


@pytest.mark.rule("R2", "R3")
@pytest.mark.parametrize("number", range(5))
def test_a_lost_source_revokes(fed: Fed, number: int) -> None:
    """Each of the five, with its reason; news that come meanwhile wake nobody."""
    fed.converge()
    source = fed.gating[number]
    source.lost("connection refused")
    assert not fed.recovery.converged
    assert fed.recovery.sources[source.name].trouble == "connection refused"
    fed.devices.upsert(device())
    fed.desired.entries(Entries.of(Entry(desired_key(pair()), 5, GOOD)))
    assert fed.wakes == 0
    source.replay_started()
    source.replayed()
    assert fed.wakes == 1


def test_a_replay_frees_the_keys_that_wait_for_an_echo(fed: Fed) -> None:
    """A replay of the bucket tells the writer of keys, a new list of Deployments the ticker; others tell nobody."""
    for source in (*fed.gating, fed.infos):
        source.replay_started()
    assert (fed.writer.restarts, fed.ticker.restarts) == (1, 1)


def test_custom_resources_are_folded(fed: Fed) -> None:
    """Upserts and removals reach the state, the writers that wait for an echo, and the wake-up."""
    fed.converge()
    fed.deployments.upsert(deployment())
    fed.devices.upsert(device())
    assert pair() in fed.state.standings
    fed.deployments.removed("web")
    fed.devices.removed("d1")
    assert not fed.state.deployments
    assert not fed.state.devices
    assert fed.ticker.names == [("web", False), ("web", False)]
    assert fed.wakes == 4


@pytest.mark.rule("S13")
def test_the_ticker_hears_whether_the_status_changed(fed: Fed) -> None:
    """A first sight is no change, and neither is a change of anything else."""
    fed.deployments.upsert(deployment(status={"observedGeneration": 1}))
    fed.deployments.upsert(deployment(status={"observedGeneration": 1}, version="11"))
    fed.deployments.upsert(deployment(status={"observedGeneration": 2}, version="12"))
    assert fed.ticker.names == [("web", False), ("web", False), ("web", True)]


@pytest.mark.rule("R9", "R10")
def test_an_object_that_cannot_be_read_is_not_gone(fed: Fed) -> None:
    """What was known of it stays; it is counted and marked, and a readable one heals it."""
    fed.deployments.upsert(deployment())
    fed.devices.upsert(device())
    fed.deployments.malformed("web", "no services")
    fed.devices.malformed("d1", "labels are a number")
    assert pair() in fed.state.standings
    assert (fed.state.unreadable_deployments, fed.state.unreadable_devices) == ({"web"}, {"d1"})
    assert (fed.malformed("deployments"), fed.malformed("devices")) == (1, 1)
    assert fed.recovery.sources["devices"].seen == 2
    fed.deployments.upsert(deployment())
    fed.devices.upsert(device())
    assert not fed.state.unreadable_deployments | fed.state.unreadable_devices


@pytest.mark.parametrize("name", ["a.b", "", "UPPER"])
def test_the_removal_of_a_malformed_name_is_no_crash(fed: Fed, name: str) -> None:
    """What was never folded in, since its name is no name of ours, cannot be taken out."""
    fed.deployments.malformed(name, "bad name")
    fed.deployments.removed(name)
    fed.devices.malformed(name, "bad name")
    fed.devices.removed(name)
    assert not fed.state.unreadable_deployments | fed.state.unreadable_devices


@pytest.mark.rule("R9", "K6")
@pytest.mark.parametrize("key", ["web", "d1.", ".web", "D1.web", "d1.we b", "info.d1.web"])
def test_a_key_that_cannot_be_parsed_is_left_alone(fed: Fed, key: str) -> None:
    """Counted each time, logged once, and not folded in."""
    with capture_logs() as logs:
        for _ in range(3):
            fed.reports.entries(Entries.of(Entry(key, 5, b"x")))
    assert fed.malformed("device-state") == 3
    assert [line["key"] for line in logs] == [key]
    assert not fed.state.reports
    assert fed.recovery.sources["device-state"].seen == 3


@pytest.mark.rule("R9")
def test_complaints_do_not_pile_up(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a bound they are forgotten: a key may then be complained about once more."""
    monkeypatch.setattr(books, "_COMPLAINTS_MAX", 2)
    with capture_logs() as logs:
        for key in ("a", "b", "a", "c", "a"):
            fed.reports.entries(Entries.of(Entry(key, 5, b"x")))
    assert [line["key"] for line in logs] == ["a", "b", "c", "a"]


def test_a_source_is_current_again_without_noise(fed: Fed) -> None:
    """A watch that is renewed in good order is no news."""
    fed.devices.replayed()
    with capture_logs() as logs:
        fed.devices.replayed()
    assert logs == []
