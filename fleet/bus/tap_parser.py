"""Cuts what a NATS server sends into units and hands the messages of tapped subscriptions over at once.

    bytes -> [a message of a tapped subscription] -> its tap
          -> [anything else, one unit at a time]  -> the library's parser, as ever

The library spends several calls and a coroutine on each message, and a replay brings them by the hundred thousand.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from nats.aio.client import Client
from nats.protocol.parser import Parser

Raw: TypeAlias = tuple[bytes, bytes, bytes, bytes | None]
"""A message: subject, reply, payload and the raw header block."""
Tap: TypeAlias = Callable[[Sequence[Raw]], None]
"""Takes messages in their order; must neither block nor raise."""

# As a server writes them. The sizes end a line; of a message with headers the last one counts all that follows.
_MSG = re.compile(rb"MSG (\S+) (\d+) (?:(\S+) )?(\d{1,10})\r\n")
_HMSG = re.compile(rb"HMSG (\S+) (\d+) (?:(\S+) )?\d{1,10} (\d{1,10})\r\n")
_LINE_END = b"\r\n"
# A server's lines are shorter. The library judges what is longer, or what looks like a message and is none.
_LINE_BYTES_MAX = 4096
_MESSAGES = (b"MSG", b"HMSG")


class Counts(Protocol):
    """What counts the messages that were handed over."""

    def __call__(self, messages: int, size_bytes: int) -> None: ...


class TapParser(Parser):
    """The library's parser, without the messages of the subscriptions in `taps`."""

    def __init__(self, client: Client, taps: Mapping[bytes, Tap], counts: Counts) -> None:
        self._taps = taps
        self._counts = counts
        self._rest = b""
        self._lives = 0
        self._plain = False
        super().__init__(client)

    def reset(self) -> None:
        """Another connection begins: nothing of the last one is left."""
        self._rest = b""
        self._plain = False
        self._lives += 1
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read; what is not whole yet waits for the rest."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        life, taps, match = self._lives, self._taps, _MSG.match
        position = 0
        last_tap: Tap | None = None
        batch: list[Raw] = []
        while position < len(data) and not self._plain:
            found = match(data, position)
            tap = taps.get(found[2]) if found is not None else None
            if tap is not last_tap:
                self._hand_over(last_tap, batch)
                last_tap, batch = tap, []
            if found is None or tap is None:
                length = self._unit(data, position)
                if not length:
                    break
                await super().parse(data[position : position + length])
                if life != self._lives:
                    return
                position += length
                continue
            begin, size = found.end(), int(found[4])
            if begin + size + 2 > len(data):
                break
            batch.append((found[1], found[3] or b"", data[begin : begin + size], None))
            position = begin + size + 2
        self._hand_over(last_tap, batch)
        await self._keep(data[position:])

    def _hand_over(self, tap: Tap | None, batch: Sequence[Raw]) -> None:
        if tap is not None and batch:
            self._counts(len(batch), sum(len(payload) for _, _, payload, _ in batch))
            tap(batch)

    async def _keep(self, rest: bytes) -> None:
        if self._plain:
            await super().parse(rest)
        else:
            self._rest = rest

    def _unit(self, data: bytes, position: int) -> int:
        """How long the message or the line is that begins here, in bytes; 0 if it is not whole."""
        left = len(data) - position
        found = _MSG.match(data, position) or _HMSG.match(data, position)
        if found is not None:
            length = found.end() + int(found[4]) + 2 - position
            return length if length <= left else 0
        line_end = data.find(_LINE_END, position)
        if line_end < 0:
            self._plain = left > _LINE_BYTES_MAX
            return 0
        self._plain = data.startswith(_MESSAGES, position)
        return 0 if self._plain else line_end + 2 - position
