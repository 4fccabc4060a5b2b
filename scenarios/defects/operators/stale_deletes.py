"""Deletes are gathered and sent a moment later, at whatever revision is there by then: fresh fences, stale view."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

from nats.js.errors import NotFoundError

from fleet.bus import writes
from fleet.errors import PeerError
from fleet.operator.decide import Delete
from fleet.operator.desired_writer import Decision, DesiredWriter
from fleet.wire import Bucket, Pair, desired_key, kv_subject, stream_name
from scenarios.defects.defect import Defect

_LATER_S = (0.5, 1.5)


def _patch() -> None:
    bring_checked = DesiredWriter._bring_checked
    gathered: set[asyncio.Task[None]] = set()

    async def gather(self: DesiredWriter, decisions: Sequence[Decision], failed: list[Pair]) -> int:
        for decision in decisions:
            if isinstance(decision, Delete):
                task = asyncio.create_task(delete_later(self, decision.pair))
                gathered.add(task)
                task.add_done_callback(gathered.discard)
        return await bring_checked(self, [d for d in decisions if not isinstance(d, Delete)], failed)

    async def delete_later(self: DesiredWriter, pair: Pair) -> None:
        await asyncio.sleep(random.uniform(*_LATER_S))  # noqa: S311 - jitter, keeps no secret
        key = desired_key(pair)
        with contextlib.suppress(NotFoundError, PeerError):
            found = await self._js.get_last_msg(
                stream_name(Bucket.DESIRED_STATE), kv_subject(Bucket.DESIRED_STATE, key)
            )
            if found.data:
                await writes.delete(self._js, Bucket.DESIRED_STATE, key, expected=found.seq or 0)

    DesiredWriter._bring_checked = gather  # type: ignore[method-assign] # the point of a defect


STALE_DELETES = Defect(
    name="stale-deletes",
    shape="two-operators",
    case="12s",
    check="deletes-justified",
    story="Deletes were gathered and sent once in a while; each read its key's revision right before, so that no fence "
    "ever refused it. In a rolling update the other operator had put the key back meanwhile, and the device stopped "
    "what it was to run.",
    patch=_patch,
)
