"""Every write names the revision it replaces, or it does not happen."""

import pytest
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from fleet.bus import buckets, writes
from fleet.errors import Conflict, PeerAway, PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name

BUCKET = Bucket.DESIRED_STATE
KEY = "d1.web"


@pytest.fixture(autouse=True)
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure(js, BUCKET)


async def latest(js: JetStreamContext) -> tuple[int | None, bytes | None, str | None]:
    message = await js.get_msg(stream_name(BUCKET), subject=kv_subject(BUCKET, KEY))
    return message.seq, message.data, (message.headers or {}).get("KV-Operation")


async def test_a_put_at_the_right_revision_is_stored(js: JetStreamContext) -> None:
    """0 for a key that was never there, then the revision that the put before returned."""
    first = await writes.put(js, BUCKET, KEY, b"a", expected=0)
    second = await writes.put(js, BUCKET, KEY, b"b", expected=first)
    assert await latest(js) == (second, b"b", None)


@pytest.mark.parametrize("expected", [0, 17])
async def test_a_put_at_a_wrong_revision_conflicts(js: JetStreamContext, expected: int) -> None:
    """Somebody wrote first: nothing is stored. 0 is a fence like any other."""
    first = await writes.put(js, BUCKET, KEY, b"a", expected=0)
    with pytest.raises(Conflict, match=r"write of desired-state key d1\.web: wrong last sequence"):
        await writes.put(js, BUCKET, KEY, b"b", expected=expected)
    assert await latest(js) == (first, b"a", None)


async def test_a_delete_leaves_a_marker(js: JetStreamContext) -> None:
    """A delete stores a marker with a revision of its own, which the next put replaces."""
    first = await writes.put(js, BUCKET, KEY, b"a", expected=0)
    marker = await writes.delete(js, BUCKET, KEY, expected=first)
    assert await latest(js) == (marker, None, "DEL")
    assert await writes.put(js, BUCKET, KEY, b"c", expected=marker) > marker


@pytest.mark.parametrize("expected", [0, 17])
async def test_a_delete_at_a_wrong_revision_conflicts(js: JetStreamContext, expected: int) -> None:
    """A stale delete deletes nothing."""
    first = await writes.put(js, BUCKET, KEY, b"a", expected=0)
    with pytest.raises(Conflict):
        await writes.delete(js, BUCKET, KEY, expected=expected)
    assert await latest(js) == (first, b"a", None)


async def test_a_missing_bucket_is_away(js: JetStreamContext) -> None:
    """Without the stream the write is not acknowledged, and the message names bucket and key."""
    await js.delete_stream(stream_name(BUCKET))
    with pytest.raises(PeerAway, match=r"write of desired-state key d1\.web: no response from stream"):
        await writes.put(js, BUCKET, KEY, b"a", expected=0)


async def test_too_large_a_value_is_refused(js: JetStreamContext) -> None:
    """A value over the stream's limit is a definite no."""
    config = (await js.stream_info(stream_name(BUCKET))).config
    config.max_msg_size, config.first_seq = 100, None
    await js.update_stream(config)
    with pytest.raises(PeerRefused, match="message size exceeds maximum"):
        await writes.put(js, BUCKET, KEY, b"a" * 200, expected=0)


async def test_nothing_is_written_later(client: Client, js: JetStreamContext) -> None:
    """Without a connection a write fails at once; it is not kept for a reconnection."""
    await client.close()
    with pytest.raises(PeerAway):
        await writes.put(js, BUCKET, KEY, b"a", expected=0)
