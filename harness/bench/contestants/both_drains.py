"""Both bare drains at once, in one process: what an operator waits for that reads buckets and lists side by side."""

import asyncio

from harness.bench.contestants import list_drain, nats_drain
from harness.bench.contestants.assignment import Assignment, Lap, assignment

LAP = Lap()


async def drain(given: Assignment) -> dict[str, int]:
    keys, pages = await asyncio.gather(nats_drain.drain(given), list_drain.drain(given))
    return keys | pages


if __name__ == "__main__":
    LAP.finish(asyncio.run(drain(assignment())))
