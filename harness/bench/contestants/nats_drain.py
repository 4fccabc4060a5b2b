"""Bare drain of the buckets: the client library's own ordered subscriptions, all at once, every message thrown away."""

import asyncio

import nats
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from nats.js.client import JetStreamContext

from harness.bench.contestants.assignment import Assignment, Lap, assignment

LAP = Lap()


async def drain(given: Assignment) -> dict[str, int]:
    """Messages per bucket."""
    client = await nats.connect(given.nats_url)
    js = client.jetstream()
    counts = await asyncio.gather(*(_drain_one(js, bucket) for bucket in given.buckets))
    await client.close()
    return dict(zip(given.buckets, counts, strict=True))


async def _drain_one(js: JetStreamContext, bucket: str) -> int:
    expected = (await js.stream_info(f"KV_{bucket}")).state.messages
    done = asyncio.Event()
    count = 0

    async def discard(_: Msg) -> None:
        nonlocal count
        count += 1
        if count == expected:
            done.set()

    await js.subscribe(
        f"$KV.{bucket}.>",
        stream=f"KV_{bucket}",
        ordered_consumer=True,
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        cb=discard,
    )
    await done.wait()
    return count


if __name__ == "__main__":
    LAP.finish(asyncio.run(drain(assignment())))
