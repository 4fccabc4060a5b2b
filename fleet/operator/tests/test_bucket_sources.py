"""Entries of the buckets: what becomes of a value, of garbage, of a marker and of a bucket that was lost."""

import json
from datetime import timedelta

import pytest

from fleet.bus.entry import Entries, Entry
from fleet.bus.replica import StreamFacts
from fleet.operator.desired_keys import Cell
from fleet.operator.liveness import Verdict
from fleet.operator.sources import BucketSource
from fleet.operator.tests.feeding import Fed
from fleet.operator.tests.samples import D1, EPOCH, cell, deployment, malformed, pair, report, report_bytes
from fleet.wire import DeviceId, Heartbeat, Pair, desired_key, heartbeat_key, info_key, state_key

GOOD = deployment().wanted
AT_S = EPOCH.timestamp()
BEAT = Heartbeat(instance_id="i", agent_version="1", sequence=1, busy=False).encode()
INFO = b'{"agent_version":"1","arch":"x","boot_id":"b","labels":{"tier":"edge"},"os":"o"}'
FOUND = StreamFacts(created_s=0.0, broker_now_s=0.0, made=False, replaced=False)


@pytest.fixture
def fed() -> Fed:
    return Fed()


@pytest.mark.rule("R9")
def test_a_desired_key_is_folded(fed: Fed) -> None:
    """A good value, malformed bytes, a marker and a key without a trace each become what decisions see."""
    key = desired_key(pair())
    fed.desired.entries(Entries.of(Entry(key, 5, GOOD)))
    assert fed.state.desired.cells[pair()] == cell(5)
    fed.desired.entries(Entries.of(Entry(key, 6, b"{")))
    assert fed.state.desired.cells[pair()] == malformed(6)
    fed.desired.entries(Entries.of(Entry(key, 7, None)))
    assert fed.state.desired.cells[pair()] == Cell(7, None, deleted=True)
    fed.desired.entries(Entries.of(Entry(key, 8, GOOD)))
    fed.desired.entries(Entries.of(Entry(key, 0, None)))
    assert pair() not in fed.state.desired.cells
    assert pair() in fed.state.desired.vanished
    assert fed.writer.keys == [pair()] * 5
    assert fed.malformed("desired-state") == 1


@pytest.mark.rule("R9")
def test_a_report_is_folded(fed: Fed) -> None:
    """A good report counts; a malformed one is none, as it is to whoever starts later; a good one heals it."""
    key, good = state_key(pair()), report_bytes(report())
    fed.reports.entries(Entries.of(Entry(key, 5, good, AT_S)))
    assert fed.state.reports[pair()] == report()
    broken = json.dumps(json.loads(good) | {"phase": "Dancing"}).encode()
    fed.reports.entries(Entries.of(Entry(key, 6, broken, AT_S)))
    assert pair() not in fed.state.reports
    assert fed.malformed("device-state") == 1
    fed.reports.entries(Entries.of(Entry(key, 7, good, AT_S)))
    assert fed.state.reports[pair()] == report()
    fed.reports.entries(Entries.of(Entry(key, 8, None)))
    assert pair() not in fed.state.reports


@pytest.mark.rule("S6")
def test_the_brokers_time_bounds_that_of_a_report(fed: Fed) -> None:
    """A device's clock runs ahead: its event counts as of the time at which the broker stored it."""
    fed.reports.entries(Entries.of(Entry(state_key(pair()), 5, report_bytes(report(seconds=3600)), AT_S + 60)))
    assert fed.state.reports[pair()].last_event_at == EPOCH + timedelta(seconds=60)


@pytest.mark.rule("R9")
def test_an_info_is_folded(fed: Fed) -> None:
    """Its labels; garbage leaves the last good one; a marker takes it away."""
    fed.infos.entries(Entries.of(Entry(info_key(D1), 5, INFO)))
    fed.infos.entries(Entries.of(Entry(info_key(D1), 6, b"[]")))
    assert fed.state.infos == {D1: {"tier": "edge"}}
    assert fed.malformed("device-info") == 1
    fed.infos.entries(Entries.of(Entry(info_key(D1), 7, None)))
    assert fed.state.infos == {}


@pytest.mark.rule("L1", "R9")
def test_a_beat_is_folded(fed: Fed) -> None:
    """By the broker's time of storing it; garbage is no beat; a marker forgets the device, a vanished key does not."""
    key = heartbeat_key(D1)
    fed.beats.opened(StreamFacts(created_s=0.0, broker_now_s=5000.0, made=False, replaced=False))
    fed.beats.entries(Entries.of(Entry(key, 1, BEAT, 5000.0)))
    assert fed.state.liveness.verdict(D1) is Verdict.ALIVE
    fed.beats.replayed()
    fed.beats.entries(Entries.of(Entry(key, 2, b"{}", 5080.0)))
    assert fed.malformed("device-heartbeat") == 1
    fed.state.advance(1089.0)
    assert fed.state.liveness.verdict(D1) is Verdict.ALIVE
    fed.state.advance(1091.0)
    assert fed.state.liveness.verdict(D1) is Verdict.SILENT
    fed.beats.entries(Entries.of(Entry(key, 0, None)))
    assert fed.state.liveness.has_beat(D1)
    fed.beats.entries(Entries.of(Entry(key, 3, None, 5091.0)))
    assert not fed.state.liveness.has_beat(D1)


@pytest.mark.rule("L2")
def test_a_lost_source_of_beats_starts_the_wait_anew(fed: Fed) -> None:
    """Whether a beat was missed nobody knows before as long of unbroken connection."""
    fed.beats.opened(StreamFacts(created_s=0.0, broker_now_s=5000.0, made=False, replaced=False))
    fed.beats.entries(Entries.of(Entry(heartbeat_key(D1), 1, BEAT, 5000.0)))
    fed.beats.replayed()
    fed.beats.lost("connection lost")
    fed.now_s = 1100.0
    fed.beats.replayed()
    fed.state.advance(1180.0)
    assert fed.state.liveness.verdict(D1) is Verdict.UNKNOWN
    fed.state.advance(1191.0)
    assert fed.state.liveness.verdict(D1) is Verdict.SILENT


@pytest.mark.rule("R6")
@pytest.mark.parametrize("source", ["reports", "beats", "infos"])
@pytest.mark.parametrize("facts", [FOUND._replace(made=True), FOUND._replace(replaced=True)], ids=["made", "replaced"])
def test_a_bucket_that_was_made_again_is_asked_for(fed: Fed, source: str, facts: StreamFacts) -> None:
    """Once it has been replayed: what devices publish on being asked then arrives; and once only."""
    told: dict[str, BucketSource[Pair] | BucketSource[DeviceId]] = {
        "reports": fed.reports,
        "beats": fed.beats,
        "infos": fed.infos,
    }
    fed_source = told[source]
    fed_source.opened(facts)
    assert fed.lost_contents == 0
    fed_source.replayed()
    assert fed.lost_contents == 1
    fed_source.lost("standstill")
    fed_source.replayed()
    fed_source.opened(FOUND)
    fed_source.replayed()
    assert fed.lost_contents == 1


@pytest.mark.rule("R6")
def test_a_session_that_breaks_off_does_not_forget_to_ask(fed: Fed) -> None:
    """The bucket was made and the connection lost before the replay was over: the next session asks."""
    fed.reports.opened(FOUND._replace(made=True))
    fed.reports.lost("connection lost")
    fed.reports.opened(FOUND)
    fed.reports.replayed()
    assert fed.lost_contents == 1


@pytest.mark.rule("R6")
def test_a_bucket_made_at_the_start_is_asked_for(fed: Fed) -> None:
    """It was missing when the operator came; by the time of its first session it is a bucket like any other."""
    fed.reports.made()
    fed.reports.opened(FOUND)
    fed.reports.replayed()
    assert fed.lost_contents == 1


@pytest.mark.rule("R6", "R5")
def test_keys_that_vanished_are_asked_for(fed: Fed) -> None:
    """An emptied bucket is the same bucket; what it held is gone all the same."""
    fed.reports.opened(FOUND)
    fed.reports.entries(Entries.of(Entry(state_key(pair()), 0, None)))
    fed.reports.replayed()
    assert fed.lost_contents == 1


def test_desired_state_is_not_asked_for(fed: Fed) -> None:
    """It is the operator's own to write again."""
    fed.desired.opened(FOUND._replace(made=True))
    fed.desired.replayed()
    assert fed.lost_contents == 0


@pytest.mark.rule("K6")
def test_an_unparsable_desired_key_is_left_alone(fed: Fed) -> None:
    """It is no pair's key: nobody is told, and nothing becomes unwanted by it."""
    fed.desired.entries(Entries.of(Entry("no-dot", 5, GOOD)))
    assert (fed.writer.keys, dict(fed.state.desired.cells), fed.state.unwanted.pairs) == ([], {}, set())
