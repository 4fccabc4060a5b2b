"""Buckets missing, made otherwise, deleted, made again or purged: proved where it bites, unproved where it does not."""

import pytest
from nats.js.client import JetStreamContext
from nats.js.manager import JetStreamManager

from fleet.wire import Bucket
from harness.checks.life import faults_bit
from harness.devices.tests.broker import Broker, pair_of
from harness.errors import ServiceError
from harness.faults import bucket_loss, streams
from harness.faults import buckets as buckets_module
from harness.faults.bucket_loss import BucketLoss, BucketsDeleted, BucketsPurged, BucketsRecreated
from harness.faults.buckets import BucketOtherwise, BucketsMissing, Otherwise, RevisionsFrom
from harness.faults.fault import Fault, mend, strike
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord

DESIRED = Bucket.DESIRED_STATE
KEYS = [pair_of(f"d{number}") for number in range(5)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not heal is not waited for."""
    monkeypatch.setattr(bucket_loss, "REFILLED_WITHIN_S", 0.1)
    monkeypatch.setattr(buckets_module, "MENDED_WITHIN_S", 0.1)


def events(broker: Broker) -> list[str]:
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


async def fill(broker: Broker) -> None:
    for pair in KEYS:
        await broker.desire(pair)


async def test_missing_buckets(broker: Broker) -> None:
    """They are gone, the others are not; healed is when somebody has made them again."""
    await broker.make()
    fault = BucketsMissing(broker.js, [Bucket.DEVICE_INFO, Bucket.DEVICE_STATE])
    await strike(fault, broker.recorder)
    assert "proved-active" in events(broker)
    assert await broker.messages(DESIRED) == 0
    await broker.make([Bucket.DEVICE_INFO])
    with pytest.raises(ServiceError, match="still missing: device-state"):
        await fault.prove_healed()
    await broker.make([Bucket.DEVICE_STATE])
    assert "all of them" in await fault.prove_healed()


async def test_missing_buckets_on_a_fresh_broker(broker: Broker) -> None:
    """Nothing to delete is nothing wrong: they are missing. Healing may be somebody's who is named."""
    fault = BucketsMissing(broker.js, list(Bucket), broker.make)
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]


async def test_a_bucket_that_came_back_at_once(broker: Broker) -> None:
    """Somebody makes it again before the proof: the fault had no teeth."""
    await broker.make()
    fault = BucketsMissing(broker.js, [Bucket.DEVICE_INFO])
    await fault.apply()
    await broker.make([Bucket.DEVICE_INFO])
    with pytest.raises(ServiceError, match="still there: device-info"):
        await fault.prove_active()


async def test_a_bucket_otherwise(broker: Broker) -> None:
    """Five values per key, also in place of one that was there, until somebody mends it."""
    await broker.make()
    fault = BucketOtherwise(broker.js, Bucket.DEVICE_STATE)
    await strike(fault, broker.recorder)
    assert events(broker)[-1] == "proved-active"
    with pytest.raises(ServiceError, match="not mended: values per key 5"):
        await fault.prove_healed()
    config = (await broker.js.stream_info("KV_device-state")).config
    config.max_msgs_per_subject = 1
    await broker.js.update_stream(config)
    assert await fault.prove_active()
    assert await fault.prove_healed()


@pytest.mark.parametrize(
    ("otherwise", "wrong"), [("memory", "stored in memory"), ("other-subjects", "subjects"), ("few-keys", "")]
)
async def test_other_ways_to_make_a_bucket(broker: Broker, otherwise: Otherwise, wrong: str) -> None:
    """Each is what its name says; room for few keys is no setting of the contract's, and shows with the fifth key."""
    fault = BucketOtherwise(broker.js, DESIRED, otherwise)
    await strike(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active"]
    if wrong:
        with pytest.raises(ServiceError, match=wrong):
            await fault.prove_healed()
    else:
        await fill(broker)
        assert await broker.messages(DESIRED) == 4


async def test_revisions_from(broker: Broker) -> None:
    """The next revision is the one that was asked for; another bucket is the only way out."""
    await broker.make()
    fault = RevisionsFrom(broker.js, DESIRED, 2**53 + 1)
    await strike(fault, broker.recorder)
    assert await broker.desire(KEYS[0]) == 2**53 + 1
    await mend(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]


@pytest.mark.parametrize("tail", [None, 2])
async def test_purged(broker: Broker, tail: int | None) -> None:
    """Wholly, or the keys written last; the broker says how many. Full again is healed."""
    await broker.make()
    await fill(broker)
    fault = BucketsPurged(broker.js, [DESIRED], tail)
    await strike(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active"]
    left = [] if tail is None else ["d0.app", "d1.app", "d2.app"]
    assert sorted(await streams.newest_keys(broker.js, DESIRED, 9)) == left
    await mend(fault, broker.recorder)
    assert events(broker)[-1] == "unproved"
    await fill(broker)
    await mend(fault, broker.recorder)
    assert events(broker)[-1] == "proved-healed"


@pytest.mark.parametrize("kind", [BucketsDeleted, BucketsRecreated])
async def test_gone(broker: Broker, kind: type[BucketLoss]) -> None:
    """Proved also if somebody has made and filled another one at once; that is healed."""
    await broker.make()
    await fill(broker)
    fault = kind(broker.js, [DESIRED])
    await fault.apply()
    if kind is BucketsDeleted:
        await broker.make([DESIRED])
    await fill(broker)
    assert "with 5 messages is gone" in await fault.prove_active()
    assert "as many keys as before" in await fault.prove_healed()


async def test_recreated_while_somebody_is_faster(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that runs makes it first: then it is deleted again."""
    await broker.make()
    delete, times = JetStreamManager.delete_stream, 3

    async def raced(js: JetStreamContext, name: str) -> bool:
        nonlocal times
        done = await delete(js, name)
        times -= 1
        if times > 0:
            await broker.make([DESIRED])
        return done

    monkeypatch.setattr(JetStreamContext, "delete_stream", raced)
    fault = BucketsRecreated(broker.js, [DESIRED], "plain")
    await fault.apply()
    assert times == 0
    assert await fault.prove_active()


async def test_without_teeth(broker: Broker) -> None:
    """Whatever does nothing is not proved, and the run is inconclusive."""
    await broker.make()
    await fill(broker)
    faults: list[Fault] = [
        BucketsMissing(broker.js, [DESIRED]),
        BucketOtherwise(broker.js, DESIRED),
        RevisionsFrom(broker.js, DESIRED, 2**53),
        BucketsDeleted(broker.js, [DESIRED]),
        BucketsRecreated(broker.js, [DESIRED]),
        BucketsPurged(broker.js, [DESIRED]),
        BucketsPurged(broker.js, [DESIRED], tail=1),
    ]
    for fault in faults:
        await strike(Toothless(fault), broker.recorder)
    assert events(broker) == ["applied", "unproved"] * len(faults)
    assert faults_bit(broker.recorder.history()).outcome == "inconclusive"


async def test_a_broker_that_does_not_answer(broker: Broker) -> None:
    """A proof that could not be had is no proof: the library's error becomes ours."""
    js = broker.client.jetstream(timeout=0.2)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="device-info cannot be looked at"):
        await BucketsMissing(js, [Bucket.DEVICE_INFO]).prove_active()
