"""What a test does at the broker's side, and how it waits for what the agent does there."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from nats.aio.client import Client
from nats.js.client import JetStreamContext

from fleet.agent.link import Link
from fleet.bus import buckets, reads, writes
from fleet.bus.entry import Entry
from fleet.bus.tests.servers import DEADLINE_S, Server
from fleet.wire import Bucket, DeploymentName, DesiredState, Lifecycle, Owner, Score, Service, device_id, stream_name

DEVICE = device_id("site.d1")
WEB, DB = DeploymentName("web"), DeploymentName("db")
T = TypeVar("T")


def desired(generation: int = 1, uid: str = "u1") -> bytes:
    return DesiredState(Owner(uid, generation), Score((Service("app", "image:1"),), Lifecycle())).encode()


class Operator:
    """One connection of its own. It survives the broker's restarts, as the agent's does."""

    def __init__(self, client: Client, server: Server, back: asyncio.Event) -> None:
        self.client = client
        self.js: JetStreamContext = client.jetstream(timeout=5)
        self._server = server
        self._back = back

    @classmethod
    async def connect(cls, server: Server) -> Self:
        client, back = Client(), asyncio.Event()

        async def reconnected() -> None:
            back.set()

        async def ignore(_: Exception) -> None:
            pass

        await client.connect(
            server.url,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.01,  # type: ignore[arg-type] # annotated int, given to asyncio.sleep
            reconnected_cb=reconnected,
            error_cb=ignore,
        )
        return cls(client, server, back)

    async def close(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.client.close()

    async def make(self, *wanted: Bucket) -> None:
        """All of the buckets, unless some are named."""
        for bucket in wanted or tuple(Bucket):
            await buckets.ensure(self.js, bucket)

    async def drop(self, bucket: Bucket) -> None:
        await self.js.delete_stream(stream_name(bucket))

    async def store(self, bucket: Bucket, key: str, value: bytes) -> int:
        """Write over whatever is there."""
        entry = await reads.get(self.js, bucket, key)
        return await writes.put(self.js, bucket, key, value, expected=entry.revision if entry else 0)

    async def delete(self, bucket: Bucket, key: str) -> int:
        entry = await reads.get(self.js, bucket, key)
        return await writes.delete(self.js, bucket, key, expected=entry.revision if entry else 0)

    async def stored(self, bucket: Bucket, key: str, until: Callable[[Entry | None], bool]) -> Entry | None:
        """The key once it is as it should be."""
        async with asyncio.timeout(DEADLINE_S):
            while not until(entry := await reads.get(self.js, bucket, key)):
                pass
            return entry

    async def value(self, bucket: Bucket, key: str) -> bytes:
        """The key's value once it has one."""
        entry = await self.stored(bucket, key, lambda entry: entry is not None and entry.value is not None)
        assert entry is not None
        assert entry.value is not None
        return entry.value

    async def consumers(self) -> int:
        """Of all streams together."""
        return sum(stream.state.consumer_count for stream in await self.js.streams_info())

    async def restart(self, *options: str, wiped: bool = False) -> None:
        """Kill the broker and start it again, with what it stored or without; on return we are back."""
        self._back.clear()
        await self._server.kill()
        if wiped:
            await asyncio.to_thread(shutil.rmtree, self._server.folder / "store")
        await self._server.start(*options)
        async with asyncio.timeout(DEADLINE_S):
            await self._back.wait()


@asynccontextmanager
async def running(*loops: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run these while the test does its part; one that ends by itself fails it."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def within(wait: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE_S):
        return await wait


async def ready(link: Link) -> None:
    """On return the broker has taken in what the link subscribed to, and all that it sent us before has come."""
    await within(link.up.wait())
    async with link.life() as js:
        await js.account_info()


class Seen(list[T]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def saw(self, item: T) -> None:
        self.append(item)
        self._more.set()

    async def until(self, enough: Callable[[list[T]], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not enough(self):
                self._more.clear()
                await self._more.wait()


def count_backs(link: Link) -> Seen[None]:
    """One item for each time that the link is there (again)."""
    seen: Seen[None] = Seen()
    link.on_back(lambda: seen.saw(None))
    return seen
