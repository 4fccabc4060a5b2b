"""Connections to NATS: what is said of them, and when one is gone for good."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from fleet.bus import connection
from fleet.bus.connection import Listener
from fleet.bus.tap import TappedClient
from fleet.errors import PeerAway
from fleet.operator.links import NatsLinks
from fleet.operator.tests.turns import DEADLINE_S


class Server:
    """Takes every connection and keeps what listens to it."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        self.closed: list[Client] = []

    async def connect(self, url: str, *, name: str, deadline_s: float, listener: Listener, client: Client) -> Client:
        assert (url, deadline_s, type(client)) == ("nats://h:1", 5.0, TappedClient)
        self.listeners[name] = listener
        return Client()

    async def close(self, client: Client) -> None:
        self.closed.append(client)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(connection, "connect", server.connect)
    monkeypatch.setattr(connection, "close", server.close)
    return server


@pytest.fixture
def links() -> NatsLinks:
    return NatsLinks("nats://h:1", deadline_s=5.0)


async def test_a_break_is_told_to_who_opened_it(server: Server, links: NatsLinks) -> None:
    """And to nobody else; every one is closed with the stack."""
    told: list[str] = []
    async with AsyncExitStack() as stack:
        opened = [await links.open(stack, name, lambda name=name: told.append(name)) for name in "ab"]  # type: ignore[misc] # a default as a closure
        server.listeners["b"].lost()
        assert told == ["b"]
        assert server.closed == []
    assert server.closed == opened[::-1]


async def test_the_same_trouble_is_logged_once(server: Server, links: NatsLinks) -> None:
    """Four attempts a second that all say the same are one line, until it is back or says something else."""
    async with AsyncExitStack() as stack:
        await links.open(stack, "a")
        listener = server.listeners["a"]
        with capture_logs() as logs:
            for reason in ("refused", "refused", "reset", "refused"):
                listener.error(reason)
            listener.back()
            listener.error("refused")
    assert [line.get("reason", line["event"]) for line in logs] == [
        "refused",
        "reset",
        "refused",
        "nats_back",
        "refused",
    ]


async def test_one_that_is_closed_for_good_ends_the_wait(server: Server, links: NatsLinks) -> None:
    """With what was said last."""
    async with AsyncExitStack() as stack:
        await links.open(stack, "a")
        server.listeners["a"].error("'Unknown Protocol Operation'")
        server.listeners["a"].closed()
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(PeerAway, match="closed the connection for good: 'Unknown Protocol Operation'"):
                await links.closed_for_good()
