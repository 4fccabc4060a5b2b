"""An agent's link and outbox, the reports that a test gives them, and where they are stored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from fleet.agent.link import Link
from fleet.agent.outbox import Outbox
from fleet.agent.tests.brokers import DB, DEVICE, WEB, Operator, Seen, running
from fleet.bus.entry import Entry
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceState,
    Owner,
    Pair,
    Phase,
    state_key,
)

BUCKET = Bucket.DEVICE_STATE
KEY, DB_KEY = state_key(Pair(DEVICE, WEB)), state_key(Pair(DEVICE, DB))
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def report(generation: int = 1, *, seconds: float = 0, phase: Phase = Phase.RUNNING) -> DeviceState:
    return DeviceState(phase, NOON + timedelta(seconds=seconds), Owner("u1", generation), {"app": "c1"})


class Publishing:
    def __init__(self, link: Link, operator: Operator) -> None:
        self.beaten = asyncio.Event()
        self.beaten.set()
        self.link = link
        self.taken_back: Seen[DeploymentName] = Seen()
        self.outbox = Outbox(link, DEVICE, self.beaten, taken_back=self.taken_back.saw)
        self._operator = operator

    @asynccontextmanager
    async def publishes(self) -> AsyncIterator[None]:
        async with running(self.link.run(), self.outbox.run()):
            yield

    async def stores(self, state: DeviceState, key: str = KEY) -> int:
        """Wait until this is what is stored; its revision."""

        def is_it(entry: Entry | None) -> bool:
            return entry is not None and entry.value == state.encode()

        entry = await self._operator.stored(BUCKET, key, is_it)
        assert entry is not None
        return entry.revision
