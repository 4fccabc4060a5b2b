"""Cuts what a NATS server sends into units and hands the messages of tapped subscriptions over at once.

    bytes -> [deliveries of a tapped subscription, all at once]       -> its tap
          -> [another message of such a subscription, one at a time]  -> its tap
          -> [anything else, one unit at a time]                      -> the library's parser, as ever

The library spends several calls and a coroutine on each message, and a replay brings them by the hundred thousand.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from nats.aio.client import Client
from nats.protocol.parser import Parser

from fleet.bus.deliveries import Deliveries, Raw, run_at

Tap: TypeAlias = Callable[[Sequence[Raw] | Deliveries], None]
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
        life, position = self._lives, 0
        while position < len(data) and not self._plain:
            end = self._tapped(data, position)
            if not end:
                end = position + self._unit(data, position)
                if end == position:
                    break
                await super().parse(data[position:end])
                if life != self._lives:
                    return
            position = end
        await self._keep(data[position:])

    def _tapped(self, data: bytes, position: int) -> int:
        """Hand over what begins here if it is of a tapped subscription; where it ends, 0 if it is not or not whole."""
        run = run_at(data, position, self._taps) if self._taps else None
        if run is not None:
            deliveries, end = run
            self._counts(len(deliveries), sum(map(len, deliveries.payloads)))
            self._taps[deliveries.sid](deliveries)
            return end
        found = _MSG.match(data, position)
        tap = self._taps.get(found[2]) if found is not None else None
        if found is None or tap is None:
            return 0
        begin, size = found.end(), int(found[4])
        end = begin + size
        if len(data) < end + len(_LINE_END):
            return 0
        self._counts(1, size)
        tap([(found[1], found[3] or b"", data[begin:end], None)])
        return end + len(_LINE_END)

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
