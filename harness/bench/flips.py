"""The load of a state-change benchmark: random pairs report the other phase, a fixed number of times at a steady rate.

Everything is chosen and encoded before the first message goes out, so that the generator takes little from what is
measured. A batch leaves every 20 ms and its last message is acknowledged: the batch is stored by then.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nats.errors import Error as NatsError

from fleet.wire import Bucket, Owner, Pair, Phase, kv_subject, state_key
from harness.bench.plan import Plan, reported, state_value
from harness.bench.stage import World
from harness.errors import ServiceError
from harness.wait import ticks

_BATCH_EVERY_S = 0.02
_OTHER = {Phase.RUNNING: Phase.PENDING, Phase.PENDING: Phase.RUNNING}


@dataclass(frozen=True, slots=True)
class Flip:
    """One report to come."""

    pair: Pair
    phase: Phase
    subject: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A report that the broker has: it was not there before `sent_at_s`, and it was at `acked_at_s` (Unix time)."""

    pair: Pair
    phase: Phase
    sent_at_s: float
    acked_at_s: float


class Flipper:
    """Knows the phase of every pair, and so what each next flip is. One per world.

    Pairs that failed stay as they are: then a status differs exactly when its counts do.
    """

    def __init__(self, plan: Plan, owners: Mapping[str, Owner], seed: int) -> None:
        self.phases = {pair: reported(n) for n, pair in enumerate(plan.pairs)}
        self._pairs = [pair for pair, phase in self.phases.items() if phase in _OTHER]
        self._owners = owners
        self._random = random.Random(seed)  # noqa: S311 - a load that can be repeated, no secret
        # Later than every report that the world was made with.
        self._number = len(self.phases)

    def plan(self, count: int) -> list[Flip]:
        flips: list[Flip] = []
        for pair in self._random.choices(self._pairs, k=count):
            self._number += 1
            phase = self.phases[pair] = _OTHER[self.phases[pair]]
            value = state_value(phase, self._owners[pair.deployment], number=self._number)
            flips.append(Flip(pair, phase, kv_subject(Bucket.DEVICE_STATE, state_key(pair)), value))
        return flips


def stall_s(stored: Sequence[Stored]) -> float:
    """For how long this machine kept a load waiting at worst: between two batches, or for an acknowledgement."""
    sent = sorted({report.sent_at_s for report in stored})
    waits = [report.acked_at_s - report.sent_at_s for report in stored]
    return max([*waits, *(later - earlier for earlier, later in pairwise(sent))], default=0.0)


async def play(here: World, flips: Sequence[Flip], rate_per_s: float) -> list[Stored]:
    """Publish them; when each was stored. Raises ServiceError if the broker does not acknowledge."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    stored: list[Stored] = []
    try:
        async for _ in ticks(_BATCH_EVERY_S):
            due = min(len(flips), int((loop.time() - began) * rate_per_s))
            batch = flips[len(stored) : due]
            if not batch:
                continue
            sent_at_s = time.time()
            for flip in batch[:-1]:
                await here.client.publish(flip.subject, flip.value)
            await here.js.publish(batch[-1].subject, batch[-1].value)
            acked_at_s = time.time()
            stored.extend(Stored(flip.pair, flip.phase, sent_at_s, acked_at_s) for flip in batch)
            if len(stored) == len(flips):
                break
    except (NatsError, TimeoutError) as e:
        raise ServiceError(f"{here.namespace}: the broker did not store a batch of reports: {e!r}") from e
    return stored
