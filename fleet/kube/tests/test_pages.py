"""A list in pages: complete, of one version, and fetched ahead."""

import asyncio
import json

import pytest

from fleet.errors import PeerAway
from fleet.kube import pages
from fleet.kube.tests.informing import DEADLINE_S


def body(version: str, token: str = "", *, metadata_first: bool = False) -> bytes:
    metadata = {"resourceVersion": version, "continue": token, "remainingItemCount": 3}
    # A text that looks like what is searched for, as a label's value could not be, but an annotation's.
    items = [{"metadata": {"name": "a", "annotations": {"x": '"metadata":{"resourceVersion":"666"}}'}}}]
    parts: dict[str, object] = {"metadata": metadata, "items": items}
    if not metadata_first:
        parts = dict(reversed(parts.items()))
    return json.dumps(parts, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("metadata_first", [False, True])
def test_a_pages_metadata_is_its_own(*, metadata_first: bool) -> None:
    """It is found before or behind the items, and never taken from an item."""
    metadata = pages.list_meta("devices", body("7", "t", metadata_first=metadata_first))
    assert (metadata.resource_version, metadata.continue_, metadata.remaining_item_count) == ("7", "t", 3)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{}",
        b'{"metadata":',
        b'"metadata":{}',
        b'{"items":[],"metadata":{"continue":"t"}}',
        b'{"metadata":{"resourceVersion":"\xff\xfe"}}',
        b'{"deep":' + b"[" * 100_000,
    ],
    ids=["empty", "no-field", "broken-off", "no-object", "no-version", "no-utf8", "too-deep"],
)
def test_a_page_without_metadata_is_garbage(bad: bytes) -> None:
    """Whatever it is, it is trouble of the peer."""
    with pytest.raises(PeerAway, match="list of devices: the server sent garbage"):
        pages.list_meta("devices", bad)


class Lister:
    """Answers when told to; writes down what it was asked for."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.tokens: list[str] = []
        self.asked = asyncio.Event()
        self.cancelled = False
        self.hold = False

    async def list_page(self, resource: str, *, limit: int, continue_token: str) -> bytes:
        assert (resource, limit) == ("devices", 2)
        self.tokens.append(continue_token)
        self.asked.set()
        try:
            if self.hold:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.bodies.pop(0)


async def test_the_next_page_is_asked_for_before_this_one_is_read() -> None:
    """While the reader has page one, the request for page two is on its way; when it leaves, that request ends."""
    lister = Lister(body("7", "t1"), body("7"))
    follow = pages.follow(lister, "devices", 2)
    await anext(follow)
    lister.asked.clear()
    lister.hold = True
    async with asyncio.timeout(DEADLINE_S):
        await lister.asked.wait()
    assert lister.tokens == ["", "t1"]
    await follow.aclose()
    assert lister.cancelled


@pytest.mark.rule("R4")
async def test_pages_of_two_versions_are_no_list() -> None:
    """A server that goes on with another version has not listed what was true at any time."""
    lister = Lister(body("7", "t1"), body("8"))
    with pytest.raises(PeerAway, match="pages of two versions"):
        [metadata async for metadata, _ in pages.follow(lister, "devices", 2)]
