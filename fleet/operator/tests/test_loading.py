"""A first replay, many keys at once: the state is what it is when each is folded by itself, whatever they hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.bus.entry import Entries, Entry
from fleet.kube.objects import Device
from fleet.operator.books import DEVICES
from fleet.operator.sources import BucketSource
from fleet.operator.state import FleetState
from fleet.operator.tests.feeding import Fed
from fleet.operator.tests.samples import EPOCH, deployment, device, report, report_bytes
from fleet.wire import Bucket, DeviceId, Heartbeat, Pair

AT_S = EPOCH.timestamp()
BEAT = Heartbeat(instance_id="i", agent_version="1", sequence=1, busy=False).encode()
INFO = b'{"agent_version":"1","arch":"x","boot_id":"b","labels":{"tier":"edge"},"os":"o"}'
GOOD = {
    Bucket.DESIRED_STATE: [deployment().wanted, deployment(image="web:2").wanted],
    Bucket.DEVICE_STATE: [report_bytes(report(seconds=seconds)) for seconds in (0.25, 1.5, 2.5)],
    Bucket.DEVICE_HEARTBEAT: [BEAT],
    Bucket.DEVICE_INFO: [INFO, INFO.replace(b"edge", b"core")],
}
KEYS = {
    Bucket.DESIRED_STATE: [f"d{n}.{name}" for n in range(4) for name in ("web", "db")] + ["nodot"],
    Bucket.DEVICE_STATE: [f"state.d{n}.{name}" for n in range(4) for name in ("web", "db")] + ["d1.web"],
    Bucket.DEVICE_HEARTBEAT: [f"heartbeat.d{n}" for n in range(6)] + ["d1"],
    Bucket.DEVICE_INFO: [f"info.d{n}" for n in range(6)] + ["info.D!"],
}


@dataclass(frozen=True)
class News:
    """Some of one bucket, as they came in."""

    bucket: Bucket
    entries: Sequence[Entry]


@st.composite
def news(draw: st.DrawFn) -> News:
    """Mostly new keys with good values, as a replay has them."""
    bucket = draw(st.sampled_from(list(Bucket)))
    keys = draw(st.lists(st.sampled_from(KEYS[bucket][:-1]), min_size=1, max_size=5, unique=True))
    if draw(st.integers(0, 5)) == 0:
        keys.append(draw(st.sampled_from(KEYS[bucket])))
    revision = draw(st.integers(1, 50))
    entries = []
    for number, key in enumerate(keys):
        odd = draw(st.integers(0, 15)) == 0
        value = draw(st.sampled_from([None, b"{", b""])) if odd else draw(st.sampled_from(GOOD[bucket]))
        gone = value is None and draw(st.booleans())
        at_s = AT_S + draw(st.sampled_from([2.0, 3.0, 4.0, 5.0]))
        entries.append(Entry(key, 0 if gone else revision + number, value, at_s))
    return News(bucket, entries)


def feed(fed: Fed, told: News) -> None:
    sinks: dict[Bucket, BucketSource[Pair] | BucketSource[DeviceId]] = {
        Bucket.DESIRED_STATE: fed.desired,
        Bucket.DEVICE_STATE: fed.reports,
        Bucket.DEVICE_HEARTBEAT: fed.beats,
        Bucket.DEVICE_INFO: fed.infos,
    }
    sinks[told.bucket].entries(Entries.of(*told.entries))


def known(fed: Fed) -> list[object]:
    """All that was folded, and all that waits for a decision; of an order only the one that means something."""
    state = fed.state
    return [
        state.desired.cells,
        state.reports,
        state.infos,
        list(state.liveness.alive.items()),
        state.liveness._newest_s,
        state.desired.live,
        state.desired.vanished,
        state.unwanted.pairs,
        state.dirty_pairs,
        state.dirty_devices,
        [fed.malformed(bucket.value) for bucket in Bucket],
        [fed.recovery.sources[bucket.value].seen for bucket in Bucket],
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(news(), max_size=8), st.integers(0, 8))
def test_at_once_and_one_by_one(told: list[News], deployments_after: int) -> None:
    """Deletions, garbage, keys that come twice, and what comes after the Deployments: the same in both."""
    at_once, one_by_one = Fed(), Fed()
    for fed in (at_once, one_by_one):
        fed.state.judge_later()
        for sink in (fed.desired, fed.reports, fed.beats, fed.infos):
            if fed is one_by_one:
                sink._load = lambda _: False
        for number, one in enumerate(told):
            if number == deployments_after:
                fed.state.upsert_deployment(deployment())
            feed(fed, one)
        fed.state.judge_now()
    assert known(at_once) == known(one_by_one)


listed = st.builds(
    device,
    st.sampled_from(["d1", "d2", "d3"]),
    blocked=st.booleans(),
    deleting=st.booleans(),
    labels=st.sampled_from([{}, {"tier": "edge"}, {"tier": "core", "site": "x"}]),
)


@given(st.lists(st.lists(listed, max_size=4), max_size=4), st.sets(st.sampled_from(["d1", "d2"])), st.integers(0, 4))
def test_devices_at_once_and_one_by_one(lists: list[list[Device]], odd: set[str], deployments_after: int) -> None:
    """Devices that come twice, in one list or in two, that could not be read before, and after the Deployments."""
    at_once, one_by_one = Fed(), Fed()
    for fed in (at_once, one_by_one):
        fed.state.judge_later()
        fed.state.unreadable_devices.update(odd)
        if fed is one_by_one:
            fed.devices._load = lambda _: False
        for number, items in enumerate(lists):
            if number == deployments_after:
                fed.state.upsert_deployment(deployment())
            fed.devices.listed(items)
        fed.state.upsert_deployment(deployment())
        fed.state.judge_now()
    first, second = (
        (
            fed.state.devices,
            fed.state.unreadable_devices,
            fed.state.dirty_devices,
            fed.state.dirty_pairs,
            fed.state.standings._standings,
            fed.state.standings.tallies,
            fed.recovery.sources[DEVICES].seen,
        )
        for fed in (at_once, one_by_one)
    )
    assert first == second


def test_a_list_of_devices_is_loaded() -> None:
    """New Devices take the short way while Deployments are held, and only then."""
    fed = Fed()
    one_by_one: list[Device] = []
    fed.devices._upsert = one_by_one.append
    fed.state.judge_later()
    fed.devices.listed([device("d1"), device("d2")])
    assert set(fed.state.devices) == {"d1", "d2"}
    fed.devices.listed([device("d1")])
    fed.state.upsert_deployment(deployment())
    fed.devices.listed([device("d3")])
    assert one_by_one == [device("d1"), device("d3")]


@pytest.mark.parametrize("bucket", list(Bucket))
def test_a_replay_is_loaded(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good values of new keys take the short way while Deployments are held, and only then."""

    def one_by_one(*_: object) -> None:
        raise RuntimeError("one by one")

    for single in ("desire", "report", "beat", "introduce"):
        monkeypatch.setattr(FleetState, single, one_by_one)
    told = News(bucket, [Entry(key, 1 + n, GOOD[bucket][0], AT_S + 9) for n, key in enumerate(KEYS[bucket][:-1])])
    fed = Fed()
    fed.state.judge_later()
    feed(fed, told)
    assert fed.recovery.sources[bucket.value].seen == len(told.entries)
    fed.state.upsert_deployment(deployment())
    with pytest.raises(RuntimeError, match="one by one"):
        feed(fed, told)


def test_a_clock_that_runs_ahead_is_clamped() -> None:
    """A report of an event later than the broker's own time of it is not taken as it is."""
    fed = Fed()
    fed.state.judge_later()
    entries = [Entry(f"state.d{n}.web", 1 + n, report_bytes(report(seconds=3600.5)), AT_S + 60) for n in range(3)]
    feed(fed, News(Bucket.DEVICE_STATE, entries))
    assert {one.last_event_at.timestamp() for one in fed.state.reports.values()} == {AT_S + 60}


def test_a_key_that_came_back() -> None:
    """It was gone without a marker, and is there again."""
    fed = Fed()
    fed.state.judge_later()
    (key, *_), (value, *_) = KEYS[Bucket.DESIRED_STATE], GOOD[Bucket.DESIRED_STATE]
    for entry in (Entry(key, 1, value), Entry(key, 0, None)):
        feed(fed, News(Bucket.DESIRED_STATE, [entry]))
    assert fed.state.desired.vanished
    feed(fed, News(Bucket.DESIRED_STATE, [Entry(key, 2, value)]))
    assert not fed.state.desired.vanished


@pytest.mark.parametrize("bucket", [Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT])
def test_what_was_told_before(bucket: Bucket) -> None:
    """A replay that was cut off begins again: what is older than what is known changes nothing."""
    fed = Fed()
    fed.state.judge_later()
    key = KEYS[bucket][0]
    newer, older = GOOD[bucket][-1], GOOD[bucket][0]
    feed(fed, News(bucket, [Entry(key, 2, newer, AT_S + 9)]))
    before = repr(known(fed)[:5])
    feed(fed, News(bucket, [Entry(key, 2, older, AT_S + 9)]))
    assert repr(known(fed)[:5]) == before
