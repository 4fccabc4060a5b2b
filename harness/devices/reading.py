"""What desired-state holds now, read once: agents do so on each connect (here all of them with one consumer)."""

import contextlib

from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from fleet.wire import Bucket, kv_subject, stream_name
from harness.devices.hearing import is_marker

_MESSAGE_WITHIN_S = 2.0


async def stored_desired(js: JetStreamContext) -> list[tuple[str, bytes | None]]:
    """(key, value) of each key, None for a delete marker. The consumer ends with the reading.

    A key that is not in it says nothing: it may have been lost. Raises nats.errors.Error.
    """
    subscription = await js.subscribe(
        kv_subject(Bucket.DESIRED_STATE, ">"),
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT),
    )
    try:
        info = await subscription.consumer_info()
        promised = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        messages = [await subscription.next_msg(timeout=_MESSAGE_WITHIN_S) for _ in range(promised)]
        # The client leaves it to the broker, which takes seconds: whoever counts consumers would count ours.
        with contextlib.suppress(NatsError):
            await js.delete_consumer(stream_name(Bucket.DESIRED_STATE), info.name)
    finally:
        await subscription.unsubscribe()
    prefix = kv_subject(Bucket.DESIRED_STATE, "")
    return [(m.subject.removeprefix(prefix), None if is_marker(m.headers) else m.data) for m in messages]
