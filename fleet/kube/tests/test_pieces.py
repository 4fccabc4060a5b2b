"""A list that is cut while it comes in: the same objects, whatever it holds and however it comes."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import PeerAway
from fleet.kube import pieces as module
from fleet.kube.pieces import boundary, pieces

BORDER = boundary("g/v1", "Thing")
OWNER = {"apiVersion": "g/v1", "kind": "Thing", "name": "x"}


def thing(number: int, note: str = "") -> dict[str, object]:
    """With texts and lists that look like what stands between two of them."""
    metadata = {"name": f"t{number}", "annotations": {"x": note}, "ownerReferences": [OWNER, OWNER]}
    return {"apiVersion": "g/v1", "kind": "Thing", "metadata": metadata}


def body_of(things: Sequence[dict[str, object]]) -> bytes:
    listed = {"apiVersion": "g/v1", "items": things, "kind": "ThingList", "metadata": {"resourceVersion": "7"}}
    return json.dumps(listed, separators=(",", ":")).encode() + b"\n"


def chunked(body: bytes, places: Sequence[int]) -> Iterator[bytes]:
    borders = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return (body[begin:end] for begin, end in pairwise(borders))


async def cut(chunks: Iterator[bytes], size_bytes: int) -> list[bytes]:
    async def coming() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [piece async for piece in pieces(coming(), BORDER, size_bytes)]


notes = st.text(max_size=5) | st.just(BORDER.decode()) | st.just("},{")


@given(
    st.lists(notes, max_size=12),
    st.lists(st.integers(min_value=0), max_size=20),
    st.integers(min_value=1, max_value=999),
)
async def test_the_same_objects(notes: list[str], places: list[int], size_bytes: int) -> None:
    """In their order, each piece a list by itself, and what stands behind the items is in the last one."""
    things = [thing(number, note) for number, note in enumerate(notes)]
    found = [json.loads(piece) for piece in await cut(chunked(body_of(things), places), size_bytes)]
    assert [item for piece in found for item in piece["items"]] == things
    assert [piece.get("metadata") for piece in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1]["metadata"] == {"resourceVersion": "7"}
    if size_bytes == 1:
        assert len(found) == max(1, len(things))


async def test_a_piece_is_about_as_long_as_asked_for() -> None:
    """Longer by one object at most, so that none of them takes long."""
    found = await cut(chunked(body_of([thing(number) for number in range(200)]), [100, 5000]), 2000)
    assert len(found) > 10
    assert all(len(piece) < 2000 + len(body_of([thing(999)])) for piece in found)


async def test_a_list_of_another_form_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not cut, and the same; but not beyond all measure."""
    body = json.dumps({"items": [thing(1), thing(2)]}, indent=1).encode()
    assert await cut(chunked(body, [9]), 1) == [body]
    monkeypatch.setattr(module, "_PIECE_BYTES_MAX", 50)
    with pytest.raises(PeerAway, match="without an end within 50 bytes"):
        await cut(chunked(body, [9]), 1)
