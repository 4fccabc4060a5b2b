"""Messages of a subscription as the raw bytes that came in, before the client library spends its time on them.

For each message nats-py parses all headers, builds an object, puts it on a queue and starts a coroutine; a replay of
100,000s of messages needs a few numbers of each. The library has no public door before that, so `TappedClient` has a
parser of its own (`tap_parser`), and takes the one private method that every other message passes. If a later version
has other ones there, `new_client` makes one without taps, `tap` says no, and the caller gets its messages the ordinary
way: slower, and the same.
"""

import inspect

from nats.aio.client import Client, Srv
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from fleet.bus.steady import SteadyClient
from fleet.bus.tap_parser import Tap, TapParser

_HOOK, _PARSER = "_process_msg", "_ps"
# About four hundred messages of a replay, which are parsed and told in about a millisecond.
_READ_BYTES = 128 * 1024
_HOOK_PARAMETERS = ["self", "sid", "subject", "reply", "data", "headers"]


class _WideTransport(TcpTransport):
    """Reads more at a time than the library asks for: what is cut and told together costs less for each message."""

    @classmethod
    def of(cls, transport: TcpTransport) -> "_WideTransport":
        """The same connection."""
        wide = cls()
        vars(wide).update(vars(transport))
        return wide

    async def read(self, buffer_size: int) -> bytes:
        return bytes(await super().read(max(buffer_size, _READ_BYTES)))


class TappedClient(SteadyClient):
    """A client that hands the messages of chosen subscriptions over raw."""

    def __init__(self) -> None:
        super().__init__()
        # By the subscription's number, as it stands on the wire.
        self._taps: dict[bytes, Tap] = {}
        self._ps = TapParser(self, self._taps, self._count)

    def tap(self, sid: int, tap: Tap) -> None:
        self._taps[b"%d" % sid] = tap

    def untap(self, sid: int) -> None:
        self._taps.pop(b"%d" % sid, None)

    async def _connect_to_server(self, server: Srv) -> None:
        await super()._connect_to_server(server)
        if type(self._transport) is TcpTransport:
            self._transport = _WideTransport.of(self._transport)

    def _count(self, messages: int, size_bytes: int) -> None:
        self.stats["in_msgs"] += messages
        self.stats["in_bytes"] += size_bytes

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        tap = self._taps.get(b"%d" % sid)
        if tap is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self._count(1, len(data))
        tap([(subject, reply, data, headers)])


def new_client() -> Client:
    """A client that can be tapped, if this version of the library allows it."""
    hook = getattr(Client, _HOOK, None)
    if hook is None or list(inspect.signature(hook).parameters) != _HOOK_PARAMETERS:
        return SteadyClient()
    plain = SteadyClient()
    return TappedClient() if type(getattr(plain, _PARSER, None)) is Parser else plain


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
