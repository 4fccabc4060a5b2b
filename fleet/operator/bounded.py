"""Many small jobs, a bounded number of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def bounded(limit: int, items: Sequence[T], job: Callable[[T], Awaitable[bool]]) -> int:
    """Do `job` for each item, at most `limit` at once; for how many it returned True. An exception ends them all."""
    turns = iter(items)
    count = 0

    async def worker() -> None:
        nonlocal count
        for item in turns:
            # Not `count += await`: that reads the count before it waits.
            counts = await job(item)
            count += counts

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(items))):
            group.create_task(worker())
    return count
