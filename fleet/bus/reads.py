"""Reads of one key by the stream's leader. A direct get may be answered by a server that lags."""

import base64
import binascii

from nats.js.client import JetStreamContext
from nats.js.errors import APIError

from fleet.bus import api
from fleet.bus.connection import nats_errors
from fleet.bus.entry import Entry, is_marker
from fleet.errors import PeerAway
from fleet.wire import Bucket, kv_subject, stream_name


async def get(js: JetStreamContext, bucket: Bucket, key: str) -> Entry | None:
    """The key's last message, its `value` None for a delete marker; None if the key left no trace.

    Raises PeerAway, also if the bucket does not exist: that says nothing of its keys. PeerRefused if it may not.
    """
    what = f"read of {bucket.value} key {key}"
    with nats_errors(what):
        try:
            answer = await api.request(
                js, f"STREAM.MSG.GET.{stream_name(bucket)}", {"last_by_subj": kv_subject(bucket, key)}
            )
        except APIError as e:
            if e.err_code == api.ERR_MESSAGE_NOT_FOUND:
                return None
            if e.err_code == api.ERR_STREAM_NOT_FOUND:
                raise PeerAway(f"{what}: the bucket does not exist now") from e
            raise
    message = answer.get("message")
    if isinstance(message, dict):
        revision, time = message.get("seq"), message.get("time")
        data, headers = message.get("data", ""), message.get("hdrs", "")
        if isinstance(revision, int) and isinstance(time, str) and isinstance(data, str) and isinstance(headers, str):
            try:
                value, raw = base64.b64decode(data, validate=True), base64.b64decode(headers, validate=True)
            except binascii.Error as e:
                raise PeerAway(f"{what}: an answer that is not base64") from e
            return Entry(key, revision, None if is_marker(raw) else value, api.unix_s(time))
    raise PeerAway(f"{what}: an answer that no JetStream server gives")
