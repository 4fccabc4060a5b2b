"""Keys on the wire, as agents read and write them: every write fenced, reads without a consumer."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

import msgspec
from nats.aio.msg import Msg

from fleet.errors import Conflict, PeerAway, PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name
from harness.devices.hearing import OPERATION, is_marker
from harness.devices.simulator.figures import Figures
from harness.devices.simulator.line import Line

_API = "$JS.API"
_WRONG_REVISION = (10071, 10164)
_NO_MESSAGE = 10037
# Of all keys at once: one was written anew between the server's look and its answer.
_CHANGED = "Message Not Found"
_PAGE_KEYS_MAX = 64
_PAGE_BYTES_MAX = 4 << 20
_ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class Stored:
    """A key's last message; `value` None for a delete marker."""

    key: str
    revision: int
    value: bytes | None


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answered(msgspec.Struct):
    error: _Error | None = None


class _Ack(_Answered):
    seq: int = 0


class _Message(msgspec.Struct):
    """Bytes are base64 on the wire."""

    seq: int
    data: bytes = b""
    hdrs: bytes = b""


class _Got(_Answered):
    message: _Message | None = None


_Answer = TypeVar("_Answer", bound=_Answered)


class OwnKey:
    """A key that only its device writes. `revision` is of the last write: 0 for none, None if that is to be asked."""

    __slots__ = ("bucket", "key", "revision")

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.bucket = bucket
        self.key = key
        self.revision: int | None = None


async def bucket_is_there(line: Line, bucket: Bucket) -> bool:
    """False also if nobody answers."""
    try:
        answer = (await line.ask(f"{_API}.STREAM.INFO.{stream_name(bucket)}", b""))[0]
    except PeerAway:
        return False
    return b'"config"' in answer.data


async def write(line: Line, figures: Figures, own: OwnKey, value: bytes | None) -> bool:
    """Store `value` (None: a delete marker, if there is a value) over whatever is there, fenced by its revision.

    Returns whether somebody else had written it meanwhile. Raises PeerAway, and PeerRefused for a definite no; then
    the revision is asked for before the next write.
    """
    for attempt in range(_ATTEMPTS_MAX):
        if own.revision is None:
            stored = await read_leader(line, own.bucket, own.key)
            own.revision = stored.revision if stored else 0
            if value is None and (stored is None or stored.value is None):
                return attempt > 0
        expected, own.revision = own.revision, None
        began_s = monotonic()
        try:
            own.revision = await _publish(line, own, value, expected)
        except Conflict:
            figures.conflicts += 1
            continue
        figures.acked(monotonic() - began_s)
        return attempt > 0
    raise PeerAway(f"{own.bucket} {own.key}: others write it as fast as its device does")


async def read_leader(line: Line, bucket: Bucket, key: str) -> Stored | None:
    """What the stream's leader has; None if the key left no trace. Raises PeerAway (nobody knows) and PeerRefused."""
    body = json.dumps({"last_by_subj": kv_subject(bucket, key)}).encode()
    answer = (await line.ask(f"{_API}.STREAM.MSG.GET.{stream_name(bucket)}", body))[0]
    message = _checked(answer, _Got, f"read of {bucket} {key}").message
    if message is None:
        return None
    return Stored(key, message.seq, None if OPERATION.encode() in message.hdrs else message.data)


async def read_pages(line: Line, bucket: Bucket, key_filter: str) -> AsyncIterator[list[Stored]]:
    """Every key that matches, as any server has it, a bounded number at a time. Raises PeerAway and PeerRefused.

    A key that is in none of the pages says nothing: it may have been lost.
    """
    prefix = kv_subject(bucket, "")
    position = 0
    while True:
        body = {"multi_last": [prefix + key_filter], "seq": position + 1}
        body |= {"batch": _PAGE_KEYS_MAX, "max_bytes": _PAGE_BYTES_MAX}
        subject = f"{_API}.DIRECT.GET.{stream_name(bucket)}"
        *messages, end = await line.ask(subject, json.dumps(body).encode(), many=True)
        headers = end.headers or {}
        status = headers.get("Status")
        try:
            page = [_stored(message, prefix) for message in messages]
            pending = int(headers.get("Nats-Num-Pending", "0"))
        except (KeyError, ValueError) as e:
            raise PeerAway(f"read of {bucket} {key_filter}: an answer that no JetStream server gives") from e
        if page:
            yield page
            position = page[-1].revision
        if status == str(HTTPStatus.NOT_FOUND.value) and headers.get("Description") != _CHANGED:
            return
        if status != str(HTTPStatus.NO_CONTENT.value):
            raise PeerAway(f"read of {bucket} {key_filter}: the server says {status} {headers.get('Description', '')}")
        if not pending or not page:
            return


async def _publish(line: Line, own: OwnKey, value: bytes | None, expected: int) -> int:
    headers = {"Nats-Expected-Last-Subject-Sequence": str(expected), "Nats-Expected-Stream": stream_name(own.bucket)}
    if value is None:
        headers[OPERATION] = "DEL"
    answer = (await line.ask(kv_subject(own.bucket, own.key), value or b"", headers))[0]
    return _checked(answer, _Ack, f"write of {own.bucket} {own.key}").seq


def _checked(answer: Msg, kind: type[_Answer], what: str) -> _Answer:
    """The answer, also if it says that there is no such message. Raises what else the server says instead."""
    if (answer.headers or {}).get("Status") == str(HTTPStatus.SERVICE_UNAVAILABLE.value):
        raise PeerAway(f"{what}: nobody answers: JetStream is off, or the bucket is missing")
    try:
        told = msgspec.json.decode(answer.data, type=kind)
    except msgspec.MsgspecError as e:
        raise PeerAway(f"{what}: an answer that no JetStream server gives") from e
    error = told.error
    if error is None or error.err_code == _NO_MESSAGE:
        return told
    said = f"{what}: {error.description}"
    if error.err_code in _WRONG_REVISION:
        raise Conflict(said)
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.NOT_FOUND:
        raise PeerAway(said)
    raise PeerRefused(said)


def _stored(message: Msg, prefix: str) -> Stored:
    headers = message.headers or {}
    key = headers["Nats-Subject"].removeprefix(prefix)
    return Stored(key, int(headers["Nats-Sequence"]), None if is_marker(headers) else message.data)
