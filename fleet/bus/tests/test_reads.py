"""A leader's read of one key tells a value, a delete marker and no trace apart, and an absent bucket from all three."""

import time

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleet.bus import api, buckets, reads, writes
from fleet.bus.tests.sink import brief
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name

BUCKET = Bucket.DESIRED_STATE
KEY = "d1.web"


@pytest.fixture(autouse=True)
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure(js, BUCKET)


async def test_a_value_is_read_with_its_revision_and_time(js: JetStreamContext) -> None:
    """The last message of the key; the time is the broker's, in Unix seconds."""
    before = time.time()
    await writes.put(js, BUCKET, KEY, b"old", expected=0)
    first = await reads.get(js, BUCKET, KEY)
    assert first is not None
    revision = await writes.put(js, BUCKET, KEY, b"\x00\xff", expected=first.revision)
    await writes.put(js, BUCKET, "d2.web", b"another key's", expected=0)
    entry = await reads.get(js, BUCKET, KEY)
    assert entry is not None
    assert brief(entry) == (KEY, revision, b"\x00\xff")
    assert before - 1 <= first.at_s <= entry.at_s <= time.time() + 1


async def test_a_delete_marker_has_no_value(js: JetStreamContext) -> None:
    """Deleted is not the same as never there: the marker's revision can be fenced."""
    first = await writes.put(js, BUCKET, KEY, b"x", expected=0)
    marker = await writes.delete(js, BUCKET, KEY, expected=first)
    entry = await reads.get(js, BUCKET, KEY)
    assert entry is not None
    assert brief(entry) == (KEY, marker, None)


async def test_an_empty_value_is_a_value(js: JetStreamContext) -> None:
    """Stored without bytes and without headers."""
    ack = await js.publish(kv_subject(BUCKET, KEY), b"")
    entry = await reads.get(js, BUCKET, KEY)
    assert entry is not None
    assert brief(entry) == (KEY, ack.seq, b"")


async def test_a_key_that_left_no_trace_is_none(js: JetStreamContext) -> None:
    """Never written, or purged."""
    assert await reads.get(js, BUCKET, KEY) is None
    await writes.put(js, BUCKET, KEY, b"x", expected=0)
    await js.purge_stream(stream_name(BUCKET))
    assert await reads.get(js, BUCKET, KEY) is None


async def test_an_absent_bucket_says_nothing_of_its_keys(js: JetStreamContext) -> None:
    """A 404 of the stream is not a 404 of the key."""
    await js.delete_stream(stream_name(BUCKET))
    with pytest.raises(PeerAway, match=r"read of desired-state key d1\.web: the bucket does not exist now"):
        await reads.get(js, BUCKET, KEY)


async def test_another_error_stays_what_it_is(js: JetStreamContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal for another reason is passed on as such."""

    async def refuse(*_: object, **__: object) -> Msg:
        return Msg(js._nc, data=b'{"error": {"code": 400, "err_code": 10025, "description": "bad request"}}')

    monkeypatch.setattr(js._nc, "request", refuse)
    with pytest.raises(PeerRefused, match="JetStream refused it: bad request"):
        await reads.get(js, BUCKET, KEY)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"no json", "no JSON"),
        (b"[]", "no object"),
        (b"{}", "an answer that no JetStream server gives"),
        (b'{"message": {"seq": "7", "time": ""}}', "an answer that no JetStream server gives"),
        (b'{"message": {"seq": 7, "time": "", "data": "x"}}', "not base64"),
        (b'{"message": {"seq": 7, "time": "", "data": "e$A=="}}', "not base64"),
        (b'{"message": {"seq": 7, "time": "yesterday", "data": ""}}', "a time that no JetStream server writes"),
        (b'{"error": "what"}', "JetStream cannot serve it now"),
    ],
)
async def test_garbage_is_no_answer(
    client: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    """Whatever comes that is no answer of the API says nothing of the key."""

    async def garbage(*_: object, **__: object) -> Msg:
        return Msg(client, data=answer)

    monkeypatch.setattr(js._nc, "request", garbage)
    with pytest.raises(PeerAway, match=reason):
        await reads.get(js, BUCKET, KEY)


async def test_garbage_is_no_stream(client: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise for a stream."""

    async def garbage(*_: object, **__: object) -> Msg:
        return Msg(client, data=b'{"config": {}, "state": {"messages": "many"}, "created": "2026-11-21T12:00:00Z"}')

    monkeypatch.setattr(js._nc, "request", garbage)
    with pytest.raises(PeerAway, match="about the stream that no JetStream server gives"):
        await api.stream(js, BUCKET)
