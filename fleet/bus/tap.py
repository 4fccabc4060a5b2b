"""Messages of a subscription as the raw bytes that came in, before the client library spends its time on them.

For each message nats-py parses all headers, builds an object, puts it on a queue and starts a coroutine; a replay of
100,000s of messages needs a few numbers of each. The library has no public door before that, so `TappedClient` takes
the one private method that every message passes. If a later version has another one there, `new_client` makes a plain
client, `tap` says no, and the caller gets its messages the ordinary way: slower, and the same.
"""

import inspect
from collections.abc import Callable
from typing import TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

Tap: TypeAlias = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Called with subject, reply, payload and the raw header block; must neither block nor raise."""

_HOOK = "_process_msg"
_HOOK_PARAMETERS = ["self", "sid", "subject", "reply", "data", "headers"]


class TappedClient(Client):
    """A client that hands the messages of chosen subscriptions over raw."""

    def __init__(self) -> None:
        super().__init__()
        self._taps: dict[int, Tap] = {}

    def tap(self, sid: int, tap: Tap) -> None:
        self._taps[sid] = tap

    def untap(self, sid: int) -> None:
        self._taps.pop(sid, None)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        tap = self._taps.get(sid)
        if tap is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        tap(subject, reply, data, headers)


def new_client() -> Client:
    """A client that can be tapped, if this version of the library allows it."""
    hook = getattr(Client, _HOOK, None)
    if hook is None or list(inspect.signature(hook).parameters) != _HOOK_PARAMETERS:
        return Client()
    return TappedClient()


def tap(client: Client, subscription: Subscription, tap: Tap) -> bool:
    """Hand this subscription's messages to `tap`; False if they come the ordinary way, through its callback."""
    sid = getattr(subscription, "_id", None)
    if not isinstance(client, TappedClient) or not isinstance(sid, int):
        return False
    client.tap(sid, tap)
    return True


def untap(client: Client, subscription: Subscription) -> None:
    sid = getattr(subscription, "_id", None)
    if isinstance(client, TappedClient) and isinstance(sid, int):
        client.untap(sid)


def raw_headers(message: Msg) -> bytes | None:
    """The header block of a message that came the ordinary way, near enough to what the wire had."""
    if not message.headers:
        return None
    headers = dict(message.headers)
    status = " ".join(headers.pop(name) for name in ("Status", "Description") if name in headers)
    first = f"NATS/1.0 {status}" if status else "NATS/1.0"
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()
