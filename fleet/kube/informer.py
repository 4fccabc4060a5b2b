"""List + watch of one resource, with a `current` that is revoked while nobody can know.

list pages of one resourceVersion -> current -> watch (bookmarks move the version on)
   ^                                              | clean end: watch again from the last version
   +-------- broken or 410: `lost`, back off -----+

A broken watch could be resumed from its last version too, but then nobody knows how much of what happened meanwhile is
still to come, or whether the server is about to say that the version is too old. A list says what is true now.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from fleet.backoff import Backoff
from fleet.errors import PeerAway, PeerError, WireError
from fleet.kube.client import KubeClient

_PAGE_LIMIT = 500
# Bookmarks come about once a minute; a watch that is silent for longer is a dead connection.
_SILENCE_S_MAX = 150.0
_WATCH_S_MIN, _WATCH_S_MAX = 240, 480
# A server that ends a watch sooner than this did not end it because its time was up.
_WATCH_S_SHORT = 1.0

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class InformerSink(Protocol[T_contra]):
    """Where an informer's news go: called in order, never blocking."""

    def replay_started(self) -> None: ...
    def expecting(self, count: int) -> None: ...
    def upsert(self, item: T_contra) -> None: ...
    def removed(self, name: str) -> None: ...
    def malformed(self, name: str, reason: str) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class _Camel(msgspec.Struct, rename="camel"):
    pass


class _ListMeta(_Camel):
    resource_version: str
    continue_: str = msgspec.field(name="continue", default="")
    remaining_item_count: int = 0


class _Page(_Camel):
    metadata: _ListMeta
    items: list[msgspec.Raw]


class _Metadata(_Camel):
    name: str = ""
    resource_version: str = ""


class _Envelope(_Camel):
    metadata: _Metadata
    code: int = 0
    message: str = ""


class _WatchEvent(_Camel):
    type: str
    object: msgspec.Raw


_pages = msgspec.json.Decoder(_Page)
_events = msgspec.json.Decoder(_WatchEvent)
_envelopes = msgspec.json.Decoder(_Envelope)


class Informer(Generic[T]):
    """Follows one resource of the client's namespace for ever, by `run`."""

    def __init__(self, client: KubeClient, resource: str, decode: Callable[[bytes], T], sink: InformerSink[T]) -> None:
        self._client = client
        self._resource = resource
        self._decode = decode
        self._sink = sink
        self._names: set[str] = set()
        self._version: str | None = None

    async def run(self) -> None:
        """Follow until cancelled. Expected trouble goes to the sink; anything else is raised."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if self._version is None:
                    self._version = await self._list()
                await self._watch()
                if loop.time() - began < _WATCH_S_SHORT:
                    raise PeerAway(f"watch of {self._resource}: the server ended it at once")
            except PeerError as e:
                self._version = None
                self._sink.lost(str(e))
                await asyncio.sleep(backoff.delay_s(lasted_s=loop.time() - began))

    async def _list(self) -> str:
        """Read all pages; afterwards what was known and is not in them is removed. The list's version."""
        self._sink.replay_started()
        listed: set[str] = set()
        token = ""
        while True:
            page = self._page(await self._client.list_page(self._resource, limit=_PAGE_LIMIT, continue_token=token))
            self._sink.expecting(len(listed) + len(page.items) + page.metadata.remaining_item_count)
            for raw in page.items:
                name = self._upsert(raw, self._envelope(raw))
                listed.add(name)
                # At once: should this list break off, the next one must miss what vanished in between.
                self._names.add(name)
            token = page.metadata.continue_
            if not token:
                break
        for name in self._names - listed:
            self._sink.removed(name)
        self._names = listed
        return page.metadata.resource_version

    async def _watch(self) -> None:
        """One watch, from the last version on. Returns when the server ends it in good order."""
        timeout_s = random.randint(_WATCH_S_MIN, _WATCH_S_MAX)  # noqa: S311 - spreads load, guards nothing
        async with self._client.watch(
            self._resource,
            resource_version=self._version or "",
            timeout_s=timeout_s,
            silence_s_max=_SILENCE_S_MAX,
        ) as lines:
            self._sink.replayed()
            async for line in lines:
                self._event(line)

    def _event(self, line: bytes) -> None:
        try:
            event = _events.decode(line)
        except msgspec.MsgspecError as e:
            raise self._garbage("watch", e) from e
        envelope = self._envelope(event.object)
        match event.type:
            case "ADDED" | "MODIFIED":
                self._names.add(self._upsert(event.object, envelope))
            case "DELETED":
                self._names.discard(envelope.metadata.name)
                self._sink.removed(envelope.metadata.name)
            case "BOOKMARK":
                pass
            case _:
                raise PeerAway(f"watch of {self._resource}: {event.type} {envelope.code} {envelope.message}")
        if not envelope.metadata.resource_version:
            raise PeerAway(f"watch of {self._resource}: the server sent garbage: {event.type} without a version")
        self._version = envelope.metadata.resource_version

    def _upsert(self, raw: msgspec.Raw, envelope: _Envelope) -> str:
        name = envelope.metadata.name
        try:
            item = self._decode(bytes(raw))
        except WireError as e:
            self._sink.malformed(name, str(e))
        else:
            self._sink.upsert(item)
        return name

    def _page(self, body: bytes) -> _Page:
        try:
            page = _pages.decode(body)
        except msgspec.MsgspecError as e:
            raise self._garbage("list", e) from e
        if not page.metadata.resource_version:
            raise PeerAway(f"list of {self._resource}: the server sent garbage: a list without a version")
        return page

    def _envelope(self, raw: msgspec.Raw) -> _Envelope:
        try:
            return _envelopes.decode(raw)
        except msgspec.MsgspecError as e:
            raise self._garbage("list or watch", e) from e

    def _garbage(self, request: str, error: msgspec.MsgspecError) -> PeerAway:
        return PeerAway(f"{request} of {self._resource}: the server sent garbage: {error}")
