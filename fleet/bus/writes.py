"""Fenced writes: every put and delete names the revision it replaces, 0 included, or it does not happen."""

from nats.js.client import JetStreamContext

from fleet.bus.connection import REQUEST_TIMEOUT_S, nats_errors
from fleet.wire import Bucket, kv_subject, stream_name

_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_OPERATION = "KV-Operation"


async def put(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
    """Store `value` if `expected` is still the key's revision (0: the key was never there); the new revision.

    Raises Conflict (nothing written), PeerAway (nobody knows), PeerRefused (nothing written).
    """
    return await _publish(js, bucket, key, value, {_EXPECTED: str(expected)})


async def delete(js: JetStreamContext, bucket: Bucket, key: str, *, expected: int) -> int:
    """Store a delete marker if `expected` is still the key's revision; the marker's revision. Raises as `put`."""
    return await _publish(js, bucket, key, b"", {_EXPECTED: str(expected), _OPERATION: "DEL"})


async def _publish(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, headers: dict[str, str]) -> int:
    with nats_errors(f"write of {bucket.value} key {key}"):
        ack = await js.publish(
            kv_subject(bucket, key),
            value,
            timeout=REQUEST_TIMEOUT_S,
            stream=stream_name(bucket),
            headers=dict(headers),
        )
    return ack.seq
