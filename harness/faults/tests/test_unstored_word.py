"""A word that nobody stored: it is heard, and the bucket stays as it is; the proof tells one from the other."""

import pytest

from fleet.wire import Bucket, desired_key
from harness.devices.tests.broker import Broker, desired_by, pair_of
from harness.faults.tests.links import PROVED, proved_without_teeth, struck
from harness.faults.unstored_word import UnstoredWord, Way
from harness.history import KvEntry
from harness.observers.buckets import BucketObserver

PAIR = pair_of("site.rack.one")
VALUE = desired_by().encode()
WAYS: tuple[Way, ...] = ("told", "refused")


@pytest.mark.parametrize("value", [None, b"other"], ids=["marker", "value"])
@pytest.mark.parametrize("way", WAYS)
async def test_it_is_heard_and_not_stored(broker: Broker, way: Way, value: bytes | None) -> None:
    """What is stored stays, and the witness of what is stored sees nothing."""
    await broker.make()
    await broker.desire(PAIR, VALUE)
    witness = await BucketObserver.start(broker.server.url, broker.recorder)
    assert await struck(broker, UnstoredWord(broker.js, PAIR, value, way)) == PROVED
    await witness.drain()
    await witness.close()
    assert (await broker.last(Bucket.DESIRED_STATE, desired_key(PAIR)))[0] == VALUE
    assert broker.recorder.history().of(KvEntry) == []


@pytest.mark.parametrize("way", WAYS)
async def test_without_teeth(broker: Broker, way: Way) -> None:
    """A word that was never said is not proved."""
    await broker.make()
    assert not await proved_without_teeth(broker, UnstoredWord(broker.js, PAIR, None, way))


async def test_told_without_a_bucket(broker: Broker) -> None:
    """It needs none."""
    assert await struck(broker, UnstoredWord(broker.js, PAIR, None)) == PROVED
