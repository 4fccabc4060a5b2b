"""Reads of many keys at once, answered by whichever server holds a copy: quick, and perhaps behind the leader.

    request --> message, message, ... status   (one page; the server ends each with a status)

No consumer is made. The server answers for at most 1,024 keys that way; beyond that the stream is read on from
sequence to sequence, which costs the server more.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleet.bus import api
from fleet.bus.connection import REQUEST_TIMEOUT_S, nats_errors
from fleet.bus.entry import Entry, is_marker, raw_headers
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name

_PAGE_KEYS_MAX = 64
_PAGE_BYTES_MAX = 4 << 20
_CHANGED = "Message Not Found"
"""Of all keys at once: one was written anew between the server's look and its answer. Of the next key: the end."""


async def pages(js: JetStreamContext, bucket: Bucket, key_filter: str) -> AsyncIterator[list[Entry]]:
    """Every key that matches, a bounded number at a time; a key that changes meanwhile may come twice, newest last.

    No page at all means that this copy has no such key. Raises PeerAway, also if the bucket does not exist or a key
    changed under the reader's hands: what came before holds, the rest is unknown. PeerRefused if it may not.
    """
    what = f"read of {bucket.value} keys {key_filter}"
    subject = kv_subject(bucket, key_filter)
    asked: api.Config = {"multi_last": [subject]}
    position = 0
    while True:
        # Not pinned to one moment (`up_to_seq`): a key that is written meanwhile moves behind what was read.
        body = {**asked, "seq": position + 1, "batch": _PAGE_KEYS_MAX, "max_bytes": _PAGE_BYTES_MAX}
        *messages, end = await _ask(js, bucket, body, what)
        status, description = _status(end)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "multi_last" in asked:
            asked = {"next_by_subj": subject}
            continue
        entries = [_entry(bucket, message, what) for message in messages]
        if entries:
            yield entries
            position = entries[-1].revision
        if status == HTTPStatus.NOT_FOUND and not (description == _CHANGED and "multi_last" in asked):
            return
        if status != HTTPStatus.NO_CONTENT:
            raise _trouble(status, description, what)
        if _number(end, "Nats-Num-Pending", what) == 0:
            return
        if not entries:
            raise PeerAway(f"{what}: the server promises more and sends none")


async def _ask(js: JetStreamContext, bucket: Bucket, body: api.Config, what: str) -> list[Msg]:
    # As in `api.request`: the context has no way to ask for more than one answer.
    client: Client = js._nc  # noqa: SLF001 - see above
    subject = f"{js._prefix}.DIRECT.GET.{stream_name(bucket)}"  # noqa: SLF001 - see above
    answers: list[Msg] = []
    ended = asyncio.Event()

    async def take(message: Msg) -> None:
        answers.append(message)
        if _status(message)[0] is not None:
            ended.set()

    inbox = client.new_inbox()
    with nats_errors(what):
        subscription = await client.subscribe(inbox, cb=take)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await client.publish(subject, json.dumps(body).encode(), reply=inbox)
                await ended.wait()
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()
    return answers


def _status(message: Msg) -> tuple[int | None, str]:
    headers = message.headers or {}
    status = headers.get("Status")
    return (int(status) if status is not None and status.isdigit() else None), headers.get("Description", "")


def _entry(bucket: Bucket, message: Msg, what: str) -> Entry:
    key = _header(message, "Nats-Subject", what).removeprefix(kv_subject(bucket, ""))
    at_s = api.unix_s(_header(message, "Nats-Time-Stamp", what))
    value = None if is_marker(raw_headers(message) or b"") else message.data
    return Entry(key, _number(message, "Nats-Sequence", what), value, at_s)


def _number(message: Msg, name: str, what: str) -> int:
    text = _header(message, name, what)
    if not text.isdecimal():
        raise PeerAway(f"{what}: an answer with {name} {text[:60]!a}, which no JetStream server gives")
    return int(text)


def _header(message: Msg, name: str, what: str) -> str:
    value = (message.headers or {}).get(name)
    if value is None:
        raise PeerAway(f"{what}: an answer without {name}, which no JetStream server gives")
    return value


def _trouble(status: int | None, description: str, what: str) -> PeerAway | PeerRefused:
    said = f"{status} {description}".strip()
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return PeerAway(f"{what}: nobody answers: JetStream is off, or the bucket is missing")
    if status == HTTPStatus.NOT_FOUND:
        return PeerAway(f"{what}: a key changed while it was read")
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return PeerAway(f"{what}: the server says {said}")
    # 408: the request as such is wrong; 413 is left only where the server bounds what it did not bound before.
    return PeerRefused(f"{what}: the server says {said}")
