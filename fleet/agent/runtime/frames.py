"""The frames in which podman sends output: an 8-byte head (stream, three zeros, length) and so many bytes. Pure."""

from collections.abc import Iterator

_HEAD_BYTES = 8
_STREAMS = 4
"""0 stdin, 1 stdout, 2 stderr, 3 what the service itself has to say of a failure."""


class Frames:
    """Takes chunks of any size, gives the payload without the heads, in order; nothing but one head is held back."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """ValueError if it is not framed."""
        at = 0
        while at < len(chunk):
            if self._left:
                payload = chunk[at : at + self._left]
                self._left -= len(payload)
                at += len(payload)
                yield payload
                continue
            wanted = _HEAD_BYTES - len(self._head)
            self._head += chunk[at : at + wanted]
            at += wanted
            if len(self._head) == _HEAD_BYTES:
                if self._head[0] >= _STREAMS or any(self._head[1:4]):
                    raise ValueError(f"no frame begins with {self._head.hex()}")
                self._left = int.from_bytes(self._head[4:], "big")
                self._head = b""
