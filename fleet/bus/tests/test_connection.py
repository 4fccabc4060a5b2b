"""One connection: bounded attempts, credentials that are refused at once, reconnection for ever, errors mapped."""

import asyncio
import gc

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, NoRespondersError
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from fleet.bus import connection
from fleet.bus.steady import SteadyClient
from fleet.bus.tests.servers import DEADLINE_S, Life, Server
from fleet.errors import Conflict, FleetError, PeerAway, PeerRefused, SettingsError

SECRET = "s3cret"  # noqa: S105 - a test's own


async def connect(url: str, life: Life, deadline_s: float = DEADLINE_S) -> Client:
    return await connection.connect(url, name="test", deadline_s=deadline_s, listener=life.listener)


async def test_nobody_there_is_given_up_in_time(life: Life) -> None:
    """A wrong address ends after the deadline with one line that names it and what to check."""
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    with pytest.raises(PeerAway) as refusal:
        await connect(f"nats://user:{SECRET}@127.0.0.1:{port}", life, deadline_s=0.1)
    assert str(refusal.value).startswith(f"NATS at nats://127.0.0.1:{port} did not answer within 0.1 s: ")
    assert str(refusal.value).endswith("check FLEET_NATS_URL")
    assert life.losses == 0


async def test_giving_up_on_an_attempt_that_swallows_its_cancellation(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the library does if an attempt fails at the very moment: it is told again."""
    swallowed = 0

    async def stubborn(*_: object) -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(SteadyClient, "_connect_to_server", stubborn)
    monkeypatch.setattr(connection, "_CANCEL_AGAIN_S", 0.05)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(PeerAway, match="did not answer within"):
            await connect("nats://127.0.0.1:1", life, deadline_s=0.1)
    assert swallowed == 2


async def test_giving_up_leaves_no_socket_and_no_task(life: Life) -> None:
    """A server that accepts and says nothing is left without an open connection."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    tasks = asyncio.all_tasks()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(PeerAway):
            await connect(f"nats://127.0.0.1:{port}", life, deadline_s=0.1)
        async with asyncio.timeout(DEADLINE_S):
            await gone.wait()
        gc.collect()
    left = [t for t in asyncio.all_tasks() - tasks if "silent" not in repr(t)]
    assert not left


async def test_wrong_credentials_are_refused_at_once(server: Server, life: Life) -> None:
    """A server that refuses the credentials is not asked until the deadline; the password stays out of the message."""
    await server.restart("--user", "op", "--pass", "right")
    with pytest.raises(PeerRefused) as refusal:
        async with asyncio.timeout(5):
            await connect(server.url.replace("//", f"//op:{SECRET}@"), life, deadline_s=60)
    assert str(refusal.value).endswith("refused the credentials: 'Authorization Violation'; check FLEET_NATS_URL")
    assert SECRET not in str(refusal.value)


async def test_the_refusal_is_the_reason_and_not_what_follows(life: Life) -> None:
    """A reset of the next attempt does not hide why the one before was refused."""
    callbacks = connection._Callbacks(Client(), life.listener)
    await callbacks.error(OSError("connection refused"))
    assert callbacks.detail == "connection refused"
    for text in ("nats: 'Authorization Violation'", "connection reset"):
        await callbacks.error(OSError(text))
    assert callbacks.refused.is_set()
    assert callbacks.detail == "'Authorization Violation'"
    assert len(life.errors) == 3


async def test_the_right_credentials_connect(server: Server, life: Life) -> None:
    """User and password of the URL are used."""
    await server.restart("--user", "op", "--pass", SECRET)
    client = await connect(server.url.replace("//", f"//op:{SECRET}@"), life)
    assert client.is_connected
    await connection.close(client)


async def test_it_reconnects(client: Client, server: Server, life: Life) -> None:
    """A server that went away is told as lost, and as back when it is."""
    await server.restart()
    async with asyncio.timeout(DEADLINE_S):
        await life.is_back.wait()
    assert life.losses == 1
    assert client.is_connected
    assert not life.is_closed.is_set()


async def test_a_failed_greeting_leaves_no_socket(client: Client, server: Server, life: Life) -> None:
    """Each attempt at whatever took the broker's place is closed, not only the last one."""
    closed = 0
    enough = asyncio.Event()

    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        writer.write(b"220 some other server\r\n")
        await reader.read()
        closed += 1
        writer.close()
        if closed == 3:
            enough.set()

    await server.kill()
    async with await asyncio.start_server(strange, "127.0.0.1", server.port):
        async with asyncio.timeout(DEADLINE_S):
            await enough.wait()
        await connection.close(client)
    assert life.losses == 1


async def test_an_error_that_closes_for_good_is_told(client: Client, life: Life) -> None:
    """The library gives up for good on some errors: whoever waits for a reconnection is told that none will come."""
    await client._send_command(b"NONSENSE\r\n")
    await client._flush_pending()
    async with asyncio.timeout(DEADLINE_S):
        await life.is_closed.wait()
    assert client.is_closed


async def test_closing_is_no_loss(client: Client, life: Life) -> None:
    """Closed by us it says closed, not lost; a second time is harmless."""
    await connection.close(client)
    await connection.close(client)
    assert life.losses == 0
    assert life.is_closed.is_set()


async def test_closing_a_dead_peer_does_not_wait(client: Client, server: Server) -> None:
    """A server that went away does not hold up the end."""
    await server.kill()
    async with asyncio.timeout(DEADLINE_S):
        await connection.close(client, deadline_s=0.2)


@pytest.mark.parametrize("unsent", [False, True])
async def test_closing_a_connection_that_just_broke_leaves_no_task(server: Server, life: Life, *, unsent: bool) -> None:
    """The library has not noticed yet, and cannot flush: it is closed all the same, with its subscriptions."""
    before = asyncio.all_tasks()
    client = await connect(server.url, life)

    async def take(_: Msg) -> None:
        pass

    await client.subscribe("x", cb=take)
    client._transport._io_writer.transport.abort()  # type: ignore[union-attr] # it is connected
    if unsent:
        client._pending.append(b"PING\r\n")
        client._pending_data_size += 6
    await connection.close(client)
    assert client.is_closed
    assert asyncio.all_tasks() == before


async def test_a_second_attempt_to_reconnect_ends_with_the_close(server: Server, life: Life) -> None:
    """A connection lost while it is made has two of them, and the library knows only the later one."""
    before = asyncio.all_tasks()
    client = await connect(server.url, life)
    await server.kill()
    earlier = asyncio.create_task(client._attempt_reconnect())
    client._reconnection_task = asyncio.create_task(client._attempt_reconnect())
    await connection.close(client)
    await asyncio.wait({earlier}, timeout=5)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (NotFoundError(code=404, description="stream not found"), PeerRefused, "x: not found: stream not found"),
        (
            APIError(code=400, err_code=10071, description="wrong last sequence: 7"),
            Conflict,
            "x: wrong last sequence: 7",
        ),
        (APIError(code=400, err_code=10164, description="wrong last sequence"), Conflict, "x: wrong last sequence"),
        (APIError(code=400, err_code=10058, description="in use"), PeerRefused, "x: JetStream refused it: in use"),
        (ServiceUnavailableError(code=503, description="off"), PeerAway, "x: JetStream cannot serve it now: off"),
        (APIError(description="odd"), PeerRefused, "x: JetStream refused it: odd"),
        (NoRespondersError(), PeerAway, "x: nobody answers: JetStream is off, or the stream is missing"),
        (ConnectionClosedError(), PeerAway, "x: connection closed"),
        (TimeoutError(), PeerAway, "x: TimeoutError"),
        (OSError("no route"), PeerAway, "x: no route"),
    ],
)
def test_library_errors_become_ours(error: Exception, kind: type[FleetError], text: str) -> None:
    """Each error of the library is one of ours, with what was attempted at its head."""
    with pytest.raises(kind) as ours, connection.nats_errors("x"):
        raise error
    assert type(ours.value) is kind
    assert str(ours.value) == text


def test_other_exceptions_pass() -> None:
    """What is no trouble of the peer is a crash, and stays one."""
    with pytest.raises(ZeroDivisionError), connection.nats_errors("x"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:4222",
        "http://h:1",
        "nats://h",
        "nats://:1",
        f"nats://u:{SECRET}@h:port",
        "nats://[:1",
    ],
)
def test_an_unusable_url_is_refused(url: str) -> None:
    """One line that says what is expected and shows nothing of the value."""
    with pytest.raises(SettingsError) as refusal:
        connection.check_url(url)
    assert str(refusal.value) == "FLEET_NATS_URL is not a NATS address: expected nats://HOST:PORT"


@pytest.mark.parametrize("scheme", ["nats", "tls", "ws", "wss"])
def test_usable_urls_pass(scheme: str) -> None:
    """Each scheme of the client is allowed; credentials stay out of the public form."""
    url = f"{scheme}://u:{SECRET}@h.example:4222"
    assert connection.check_url(url) == url
    assert connection.public_url(url) == f"{scheme}://h.example:4222"
