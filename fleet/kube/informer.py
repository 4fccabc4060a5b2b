"""List + watch of one resource, with a `current` that is revoked while nobody can know.

list of one resourceVersion -> current -> watch (bookmarks move the version on)
   ^                                        | clean end: watch again from the last version
   +---- broken, 410 or `refresh`: `lost` --+

A list is one answer, read as it comes in. If it breaks off, the next one is asked for in pages: a server that cannot
write all in one go, or not in its time, may still do so bit by bit.

A broken watch could be resumed from its last version too, but then nobody knows how much of what happened meanwhile is
still to come, or whether the server is about to say that the version is too old. A list says what is true now.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Generic, Protocol, TypeVar

from fleet.backoff import Backoff
from fleet.errors import PeerAway, PeerError, WireError
from fleet.kube import pages
from fleet.kube.client import KubeClient
from fleet.kube.decoding import Decoder
from fleet.kube.pieces import pieces

# How long a watch may be silent is the server's own promise: it ends each one after the time it was asked for, and
# sends a bookmark two seconds before. (In between, bookmarks come once a minute: too seldom to learn anything soon.) So
# a short watch is a short uncertainty, and one that is silent past its own end, with some seconds for a slow server,
# is dead. Shorter still gains little: a reset is seen at once, and a network that is gone by TCP keepalive.
_WATCH_S_MIN, _WATCH_S_MAX = 20, 30
_LATE_S_MAX = 5.0
# A server that ends a watch sooner than this did not end it because its time was up.
_WATCH_S_SHORT = 1.0
# So many objects are handed on before others get a turn of the loop: about a millisecond.
_CHUNK = 100

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class InformerSink(Protocol[T_contra]):
    """Where an informer's news go: called in order, never blocking."""

    def replay_started(self) -> None: ...
    def expecting(self, count: int) -> None: ...
    def listed(self, items: Sequence[T_contra]) -> None: ...
    def upsert(self, item: T_contra) -> None: ...
    def removed(self, name: str) -> None: ...
    def malformed(self, name: str, reason: str) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class Informer(Generic[T]):
    """Follows one resource of the client's namespace for ever, by `run`."""

    def __init__(
        self,
        client: KubeClient,
        resource: str,
        decode: Decoder[T],
        sink: InformerSink[T],
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`check` raises PeerError if what was listed is not to be believed; asked after each list, the watch open."""
        self._client = client
        self._check = check
        self._resource = resource
        self._decode = decode
        self._sink = sink
        self._names: set[str] = set()
        self._version: str | None = None
        self._turn: asyncio.Timeout | None = None
        self._refreshing = False
        self._checked = False
        self._in_pages = False

    def refresh(self, reason: str) -> None:
        """Revoke `current` now and list again at once: what is known may be out of date without a sign of it.

        From the loop's thread only. What a list or a watch in flight still brings makes nothing current.
        """
        self._sink.lost(reason)
        if not self._refreshing:
            self._refreshing = True
            if self._turn is not None:
                self._turn.reschedule(0)

    async def run(self) -> None:
        """Follow until cancelled. Expected trouble goes to the sink; anything else is raised."""
        backoff = Backoff()
        while True:
            if self._refreshing:
                self._refreshing = False
                self._version = None
            try:
                async with asyncio.timeout(None) as self._turn:
                    await self._follow(backoff)
            except TimeoutError:
                # Of `refresh`: a request's own timeout is a PeerAway.
                if not self._refreshing:
                    raise

    async def _follow(self, backoff: Backoff) -> None:
        """One list, if one is needed, and one watch. After trouble the wait is part of it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if self._version is None:
                self._version = await self._list()
            await self._watch(self._version)
            if loop.time() - began < _WATCH_S_SHORT:
                raise PeerAway(f"watch of {self._resource}: the server ended it at once")
        except PeerError as e:
            self._in_pages = self._version is None and not self._in_pages
            self._version = None
            self._sink.lost(str(e))
            await asyncio.sleep(backoff.delay_s(lasted_s=loop.time() - began))

    async def _list(self) -> str:
        """Read all objects; afterwards what was known and is not among them is removed. The list's version."""
        self._sink.replay_started()
        self._checked = False
        listed: set[str] = set()
        version = ""
        async with self._counting(), aclosing(self._paged() if self._in_pages else self._whole()) as followed:
            async for told, body in followed:
                version = told
                await self._replay(body, listed)
        for name in self._names - listed:
            self._sink.removed(name)
        self._names = listed
        return version

    @asynccontextmanager
    async def _counting(self) -> AsyncIterator[None]:
        """Ask beside the list how many there are: neither has to wait for the other. The list fails with it."""

        async def expect() -> None:
            self._sink.expecting(await pages.count(self._client, self._resource))

        asking = asyncio.create_task(expect(), name=f"count {self._resource}")
        try:
            yield
            await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _replay(self, body: bytes, listed: set[str]) -> None:
        """Hand on what a part of a list holds; its names go to `listed`."""
        try:
            items = self._decode.items(body)
        except PeerAway as e:
            raise PeerAway(f"list of {self._resource}: {e}") from e
        for begin in range(0, len(items), _CHUNK):
            chunk = items[begin : begin + _CHUNK]
            self._sink.listed([item for _, item in chunk if not isinstance(item, WireError)])
            for name, item in chunk:
                if isinstance(item, WireError):
                    self._sink.malformed(name, str(item))
            names = [name for name, _ in chunk]
            listed.update(names)
            # At once: should this list break off, the next one must miss what vanished in between.
            self._names.update(names)
            await asyncio.sleep(0)

    async def _paged(self) -> AsyncGenerator[tuple[str, bytes]]:
        """Version and body of each page."""
        async with aclosing(pages.follow(self._client, self._resource, pages.LIMIT)) as followed:
            async for metadata, body in followed:
                yield metadata.resource_version, body

    async def _whole(self) -> AsyncGenerator[tuple[str, bytes]]:
        """Each piece of one answer; with the last one comes the version."""
        first = last = b""
        async with (
            self._client.list_whole(self._resource) as chunks,
            aclosing(pieces(chunks, self._decode.border)) as cut,
        ):
            async for body in cut:
                if last:
                    yield "", last
                first, last = first or body, body
        yield self._version_of(first, last), last

    def _version_of(self, first: bytes, last: bytes) -> str:
        """A list's metadata stand at its end or, with some servers, at its begin."""
        try:
            return pages.list_meta(self._resource, last).resource_version
        except PeerAway:
            return pages.list_meta(self._resource, first).resource_version

    async def _watch(self, version: str) -> None:
        """One watch, from `version` on. Returns when the server ends it in good order."""
        timeout_s = random.randint(_WATCH_S_MIN, _WATCH_S_MAX)  # noqa: S311 - spreads load, guards nothing
        async with self._client.watch(
            self._resource,
            resource_version=version,
            timeout_s=timeout_s,
            silence_s_max=timeout_s + _LATE_S_MAX,
        ) as lines:
            if self._check is not None and not self._checked:
                await self._check()
                self._checked = True
            if not self._refreshing:
                self._sink.replayed()
            number = 0
            async for line in lines:
                self._event(line)
                number += 1
                if number % _CHUNK == 0:
                    await asyncio.sleep(0)

    def _event(self, line: bytes) -> None:
        try:
            change = self._decode.change(line)
        except PeerAway as e:
            raise PeerAway(f"watch of {self._resource}: {e}") from e
        if change.type == "DELETED":
            self._names.discard(change.name)
            self._sink.removed(change.name)
        elif change.item is not None:
            self._names.add(change.name)
            if isinstance(change.item, WireError):
                self._sink.malformed(change.name, str(change.item))
            else:
                self._sink.upsert(change.item)
        self._version = change.version
