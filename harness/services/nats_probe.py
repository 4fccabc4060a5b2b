"""Pulls bytes out of a NATS server by hand, to see what a link does to them: no client library reconnects in between.

connect -> greeting -> subscribe to a subject of our own -> publish to it -> all of it comes back through the link
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from harness.errors import ServiceError

PULL_BYTES_MAX = 4 * 1024 * 1024
_PIECE_BYTES = 8 * 1024
_READ_BYTES_MAX = 64 * 1024

End = Literal["all", "closed", "reset", "silent", "refused"]
"""How a pull ended: all came; the connection was closed, or reset; nothing came any more; there was no connection."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """`first_s` is when the first byte came (None: never), counted like `took_s` from the attempt to connect."""

    end: End
    bytes: int
    pieces: int
    """How many reads it took."""
    first_s: float | None
    took_s: float

    def __str__(self) -> str:
        return f"{self.bytes} bytes in {self.pieces} pieces within {self.took_s * 1000:.0f} ms, then {self.end}"


async def greeting_s(listen: str, within_s: float) -> float:
    """Seconds that a new connection waits for the first byte: NATS servers speak first. Raises ServiceError."""
    pulled = await pull(listen, 1, within_s)
    if pulled.first_s is None:
        raise ServiceError(f"{listen}: no greeting within {within_s:g} s: {pulled.end}")
    return pulled.first_s


async def pull(listen: str, count: int, within_s: float) -> Pulled:
    """Connect anew and have `count` bytes sent to us, the server's greeting included; what came of it by `within_s`.

    Raises ServiceError if `count` is over what a probe may ask for.
    """
    if count > PULL_BYTES_MAX:
        raise ServiceError(f"{listen}: a probe pulls {PULL_BYTES_MAX} bytes at most, not {count}")
    host, _, port = listen.rpartition(":")
    began = time.monotonic()
    got = pieces = 0
    first_s: float | None = None

    def ended(end: End) -> Pulled:
        return Pulled(end, got, pieces, first_s, time.monotonic() - began)

    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(_request(count))
            while got < count:
                data = await reader.read(min(_READ_BYTES_MAX, count - got))
                if not data:
                    return ended("closed")
                if first_s is None:
                    first_s = time.monotonic() - began
                got += len(data)
                pieces += 1
            return ended("all")
    except TimeoutError:
        return ended("silent")
    except (ConnectionResetError, BrokenPipeError):
        # It may come before the connection is ours.
        return ended("reset")
    except OSError:
        return ended("refused")
    finally:
        if writer is not None:
            writer.transport.abort()


def _request(count: int) -> bytes:
    subject = f"fleetproof.probe.{secrets.token_hex(8)}".encode()
    lines = [b'CONNECT {"verbose":false,"pedantic":false,"name":"fleetproof-probe"}', b"SUB %s 1" % subject]
    # Its greeting comes on top.
    for _ in range(-(-count // _PIECE_BYTES)):
        lines += [b"PUB %s %d" % (subject, _PIECE_BYTES), b"x" * _PIECE_BYTES]
    return b"\r\n".join(lines) + b"\r\n"
