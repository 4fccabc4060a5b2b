"""What faults of buckets ask the broker, on a connection of the harness: is it there, since when, what does it hold."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, kv_subject, stream_name
from harness.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Held:
    """A bucket's stream at one instant. Another text in `created` means another stream of the same name."""

    created: str
    messages: int
    first_seq: int
    last_seq: int
    config: StreamConfig


async def look(js: JetStreamContext, bucket: Bucket) -> Held | None:
    """None if there is no such bucket. Raises ServiceError if the broker does not answer."""
    try:
        with explained(f"{bucket} cannot be looked at"):
            info = await js.stream_info(stream_name(bucket))
    except NotFoundError:
        return None
    state = info.state
    return Held(str(info.created), state.messages, state.first_seq, state.last_seq, info.config)


async def delete(js: JetStreamContext, bucket: Bucket) -> bool:
    """False if there was none. Raises ServiceError."""
    try:
        with explained(f"{bucket} cannot be deleted"):
            return await js.delete_stream(stream_name(bucket))
    except NotFoundError:
        return False


async def make(js: JetStreamContext, config: StreamConfig) -> str:
    """Its creation time, by the broker. Raises ServiceError, also if somebody made one in the same moment."""
    with explained(f"{config.name} cannot be made"):
        info = await js.add_stream(config)
    return str(info.created)


async def purge(js: JetStreamContext, bucket: Bucket, key: str = ">") -> int:
    """How many messages the broker says that it purged. Raises ServiceError."""
    stream = stream_name(bucket)
    with explained(f"{bucket} cannot be purged"):
        request = json.dumps({"filter": kv_subject(bucket, key)}).encode()
        client = js._nc  # noqa: SLF001 - the library's own call keeps the number of purged messages to itself
        answer = json.loads((await client.request(f"$JS.API.STREAM.PURGE.{stream}", request, timeout=5.0)).data)
    purged = answer.get("purged", 0)
    if not answer.get("success") or not isinstance(purged, int):
        raise ServiceError(f"{bucket} cannot be purged: {answer.get('error')}")
    return purged


async def newest_keys(js: JetStreamContext, bucket: Bucket, count: int) -> list[str]:
    """The keys that were written last, the newest first. Raises ServiceError."""
    prefix = kv_subject(bucket, "")
    try:
        with explained(f"{bucket} cannot be read"):
            info = await js.stream_info(stream_name(bucket), subjects_filter=">")
            found = [
                ((await js.get_last_msg(stream_name(bucket), subject)).seq or 0, subject.removeprefix(prefix))
                for subject in info.state.subjects or {}
            ]
    except NotFoundError as e:
        raise ServiceError(f"{bucket} is not there, or vanished while it was read") from e
    return [key for _, key in sorted(found, reverse=True)[:count]]


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Raises ServiceError for what the broker refused or did not answer. That a bucket is not there is an answer."""
    try:
        yield
    except NotFoundError:
        raise
    except NatsError as e:
        raise ServiceError(f"{what}: {str(e) or type(e).__name__}") from e
