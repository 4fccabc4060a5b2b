"""The few JetStream API requests that nats-py cuts short.

It drops the broker's clock, the nanoseconds of a stream's creation, and every setting that it does not know: an update
would switch those off.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from fleet.bus.connection import REQUEST_TIMEOUT_S
from fleet.errors import PeerAway
from fleet.wire import Bucket, stream_name

Answer: TypeAlias = "dict[str, Answer] | list[Answer] | str | int | float | bool | None"
Config: TypeAlias = dict[str, Answer]

ERR_MESSAGE_NOT_FOUND = 10037
ERR_STREAM_NOT_FOUND = 10059
"""Both come with code 404; only the first says that a key left no trace."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream at one moment: `messages` and `last_seq` belong together; `config` is the server's own JSON.

    `created` is the server's text of the creation time (nanoseconds): equal texts mean the same incarnation.
    """

    created: str
    now: str
    messages: int
    last_seq: int
    config: Config

    @property
    def created_s(self) -> float:
        """Unix seconds."""
        return unix_s(self.created)

    @property
    def now_s(self) -> float:
        """The broker's clock when it answered, in Unix seconds; 0.0 if it did not say."""
        return unix_s(self.now) if self.now else 0.0

    @property
    def one_message_per_key(self) -> bool:
        """Whether the number of messages is that of keys; `buckets.ensure` sees to it where it can."""
        return self.config.get("max_msgs_per_subject") == 1 and self.config.get("retention") == "limits"

    @property
    def emptied(self) -> bool:
        """Whether it held something once and holds nothing, not even a delete marker: it was purged."""
        first_seq = self.config.get("first_seq") or 1
        return self.messages == 0 and isinstance(first_seq, int) and self.last_seq >= first_seq

    @property
    def metadata(self) -> dict[str, str]:
        found = self.config.get("metadata")
        return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


async def stream(js: JetStreamContext, bucket: Bucket, *, timeout_s: float = REQUEST_TIMEOUT_S) -> Stream | None:
    """The bucket's stream, None if it does not exist. Raises the library's errors and PeerAway."""
    try:
        answer = await request(js, f"STREAM.INFO.{stream_name(bucket)}", timeout_s=timeout_s)
    except NotFoundError:
        return None
    state, config = answer.get("state"), answer.get("config")
    created, now = answer.get("created"), answer.get("ts", "")
    if isinstance(state, dict) and isinstance(config, dict) and isinstance(created, str) and isinstance(now, str):
        messages, last_seq = state.get("messages"), state.get("last_seq")
        if isinstance(messages, int) and isinstance(last_seq, int):
            return Stream(created, now, messages, last_seq, config)
    raise PeerAway("an answer about the stream that no JetStream server gives")


async def update(js: JetStreamContext, bucket: Bucket, config: Config) -> None:
    """Give the stream this configuration. Raises the library's errors."""
    await request(js, f"STREAM.UPDATE.{stream_name(bucket)}", config)


async def request(
    js: JetStreamContext, subject: str, body: Config | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[str, Answer]:
    """Ask the JetStream API. Raises the library's errors; PeerAway for what is no answer of its."""
    data = b"" if body is None else json.dumps(body).encode()
    # The context keeps its client and its prefix (a JetStream domain's) to itself and has no raw request.
    client, prefix = js._nc, js._prefix  # noqa: SLF001 - see above
    reply = await client.request(f"{prefix}.{subject}", data, timeout=timeout_s)
    try:
        answer: Answer = json.loads(reply.data)
    except ValueError as e:
        raise PeerAway(f"JetStream's answer is no JSON: {e}") from e
    if not isinstance(answer, dict):
        raise PeerAway("JetStream's answer is no object")
    if "error" in answer:
        raise _error(answer["error"])
    return answer


def _error(told: Answer) -> APIError:
    told = told if isinstance(told, dict) else {}
    code, err_code, description = told.get("code"), told.get("err_code"), told.get("description")
    kind = NotFoundError if code == 404 else APIError  # noqa: PLR2004 - HTTP's "not found", which JetStream borrows
    return kind(
        code=code if isinstance(code, int) else 500,
        err_code=err_code if isinstance(err_code, int) else None,
        description=str(description),
    )


def unix_s(rfc3339: str) -> float:
    """Unix seconds of a time as the server writes it: 2026-11-21T12:00:00.123456789Z."""
    try:
        return datetime.fromisoformat(rfc3339).timestamp()
    except ValueError as e:
        raise PeerAway(f"a time that no JetStream server writes: {rfc3339[:60]!a}") from e
