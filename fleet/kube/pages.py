"""A list in pages of one resourceVersion: the next page is on its way while this one is read.

The API server writes a list's metadata, with the token of the next page, behind its items. So the token is found at
the end of the body, before anybody has looked at the items; where it is not, the whole body is scanned for it.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from fleet.errors import PeerAway
from fleet.kube.unreadable import UNREADABLE

LIMIT = 500

_METADATA = b'"metadata":'


class ListMeta(msgspec.Struct, rename="camel"):
    """`remaining_item_count` is how many are on the pages to come."""

    resource_version: str
    continue_: str = msgspec.field(name="continue", default="")
    remaining_item_count: int = 0


class _Tail(msgspec.Struct):
    metadata: ListMeta


class Lister(Protocol):
    """What can be asked for a page."""

    async def list_page(self, resource: str, *, limit: int, continue_token: str) -> bytes: ...


_tails = msgspec.json.Decoder(_Tail)


async def follow(client: Lister, resource: str, limit: int) -> AsyncGenerator[tuple[ListMeta, bytes]]:
    """All pages, each with its own metadata. Raises Expired if the list is compacted away, PeerAway for garbage."""
    fetching = asyncio.create_task(client.list_page(resource, limit=limit, continue_token=""))
    version = ""
    try:
        while True:
            body = await fetching
            metadata = list_meta(resource, body)
            version = version or metadata.resource_version
            if metadata.resource_version != version:
                raise PeerAway(f"list of {resource}: the server sent garbage: pages of two versions")
            if not metadata.continue_:
                break
            fetching = asyncio.create_task(
                client.list_page(resource, limit=limit, continue_token=metadata.continue_), name=f"list {resource}"
            )
            yield metadata, body
        yield metadata, body
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


class _Count(msgspec.Struct):
    items: list[msgspec.Raw]
    metadata: ListMeta


_counts = msgspec.json.Decoder(_Count)


async def count(client: Lister, resource: str) -> int:
    """How many objects there are. Raises PeerError."""
    body = await client.list_page(resource, limit=1, continue_token="")
    try:
        found = _counts.decode(body)
    except UNREADABLE as e:
        raise PeerAway(f"list of {resource}: the server sent garbage: {e}") from e
    return len(found.items) + found.metadata.remaining_item_count


def list_meta(resource: str, body: bytes) -> ListMeta:
    """Return a page's own metadata. Raises PeerAway if it has none, or no version."""
    # A quote inside a JSON text is escaped, so this finds a field's name; and only what closes the whole body decodes.
    start = body.rfind(_METADATA)
    try:
        metadata = _tails.decode(b"{" + body[start:]).metadata
    except UNREADABLE:
        try:
            metadata = _tails.decode(body).metadata
        except UNREADABLE as e:
            raise PeerAway(f"list of {resource}: the server sent garbage: {e}") from e
    if not metadata.resource_version:
        raise PeerAway(f"list of {resource}: the server sent garbage: a list without a version")
    return metadata
