"""Frames, however the stream happens to be cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.agent.runtime.frames import Frames

PAYLOADS = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=6)


@given(PAYLOADS, st.lists(st.integers(1, 30), max_size=20))
def test_the_payload_is_the_same_however_it_is_cut(payloads: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """No byte is lost, none of a head comes through."""
    wire = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in payloads)
    frames, found = Frames(), b""
    for cut in [*cuts, len(wire)]:
        found += b"".join(frames.feed(wire[:cut]))
        wire = wire[cut:]
    assert found == b"".join(data for _, data in payloads)


@pytest.mark.parametrize("head", [b"HTTP/1.1", b"\x04\0\0\0\0\0\0\1", b"\1\1\0\0\0\0\0\1"])
def test_what_is_not_framed_is_refused(head: bytes) -> None:
    """By the first head that is none."""
    with pytest.raises(ValueError, match="no frame begins with"):
        list(Frames().feed(head))
