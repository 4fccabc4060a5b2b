"""Cuts a list that comes as one answer into pieces of whole objects, while it comes.

    {"items":[{...},{...},     {...},{...},     {...}],"metadata":{...}}
    `------ a piece -----'     `- a piece -'    `-- the last piece ---'

Each piece is completed to a list of its own. So the first objects are read while the server still writes the others,
and nobody holds a body of 100,000 objects. An API server since 1.31 answers such a list from its cache, of the newest
version; pages may come from its database, and take several times as long.
"""

from collections.abc import AsyncGenerator, AsyncIterator

from fleet.errors import PeerAway

# So much, and the rest of one object: some hundreds of Devices, which decode in a fraction of a millisecond.
PIECE_BYTES = 256 * 1024
# A list that cannot be cut, because a server writes it in another way, is one piece.
_PIECE_BYTES_MAX = 512 * 1024 * 1024
_HEAD, _TAIL = b'{"items":[', b"]}"


def boundary(api_version: str, kind: str) -> bytes:
    """What stands between two objects of a list, and nowhere else.

    A quote within a text is escaped, and whatever an object holds that has a version and a kind of its own (its owners,
    its managed fields) has no metadata behind them.
    """
    return f'}},{{"apiVersion":"{api_version}","kind":"{kind}","metadata":'.encode()


async def pieces(chunks: AsyncIterator[bytes], border: bytes, size_bytes: int = PIECE_BYTES) -> AsyncGenerator[bytes]:
    """The pieces of a body, in order, of about `size_bytes`; the last one has what stands behind the items.

    Raises:
        PeerAway: a piece grows beyond all measure.
    """
    head, buffer, searched = b"", bytearray(), 0
    async for chunk in chunks:
        buffer += chunk
        while (cut := buffer.find(border, max(searched, size_bytes))) >= 0:
            with memoryview(buffer) as view:
                piece = b"".join((head, view[: cut + 1], _TAIL))
            yield piece
            del buffer[: cut + 2]
            head, searched = _HEAD, 0
        searched = max(0, len(buffer) - len(border))
        if len(buffer) > _PIECE_BYTES_MAX:
            raise PeerAway(f"a list without an end within {_PIECE_BYTES_MAX} bytes")
    yield head + bytes(buffer)
