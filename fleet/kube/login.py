"""What a request proves itself with, and how it is made new.

Credentials end while the operator runs: tokens expire, files are rotated under it, a server starts to refuse what it
took a minute ago. A login hands out a grant that should be good now, and another one after a 401.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fleet.errors import FleetError, PeerAway

# As the Go client has it: whoever rotates a token in a file replaces it long before it expires.
_FILE_TRUSTED_S = 60.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Sent with a request: a header, a client certificate inside the TLS context, or both. `repr` shows neither.

    `fingerprint` stands for the certificate where grants are compared.
    """

    authorization: str | None = field(repr=False)
    tls: ssl.SSLContext = field(repr=False, compare=False)
    fingerprint: str = field(default="", repr=False)


class Login(Protocol):
    """Where grants come from. Raises PeerAway."""

    async def grant(self) -> Grant:
        """Return what should be good now."""
        ...

    async def renewed(self, refused: Grant) -> Grant | None:
        """Return another one after the server answered 401 to `refused`; None if there is none."""
        ...


class FileLogin:
    """What stands in a kubeconfig: read once, and again when the server refuses it: somebody may have edited it."""

    def __init__(self, grant: Grant, read: Callable[[], Awaitable[Grant]] | None = None) -> None:
        self._grant = grant
        self._read = read
        self._lock = asyncio.Lock()

    async def grant(self) -> Grant:
        return self._grant

    async def renewed(self, refused: Grant) -> Grant | None:
        async with self._lock:
            if self._grant == refused and self._read is not None:
                try:
                    self._grant = await self._read()
                except FleetError:
                    # Half-written, or broken by hand: the refusal says enough.
                    return None
        return None if self._grant == refused else self._grant


class TokenFileLogin:
    """A token in a file that somebody else keeps fresh, as in a pod."""

    def __init__(self, path: Path, tls: ssl.SSLContext) -> None:
        self._path = path
        self._tls = tls
        self._grant: Grant | None = None
        self._read_at = 0.0

    async def grant(self) -> Grant:
        if self._grant is None:
            return self._read()
        if time.monotonic() - self._read_at >= _FILE_TRUSTED_S:
            # What was read before may be good still: the server will say.
            with suppress(PeerAway):
                self._read()
        return self._grant

    async def renewed(self, refused: Grant) -> Grant | None:
        with suppress(PeerAway):
            self._read()
        return None if self._grant == refused else self._grant

    def _read(self) -> Grant:
        # Not in a thread: some hundred bytes of a local file, in a pod of memory.
        self._read_at = time.monotonic()
        try:
            token = self._path.read_text().strip()
        except OSError as e:
            raise PeerAway(f"token file {self._path}: {e.strerror}") from e
        except UnicodeDecodeError:
            token = ""
        self._grant = Grant(bearer(token, f"token file {self._path}"), self._tls)
        return self._grant


def bearer(token: str, where: str) -> str:
    """Return the header's value. Raises PeerAway, without the token, if it could not be one."""
    if not token or not sendable(token) or " " in token:
        raise PeerAway(f"{where}: holds no token")
    return f"Bearer {token}"


def sendable(text: str) -> bool:
    """Whether a header can hold it."""
    return text.isascii() and text.isprintable()
