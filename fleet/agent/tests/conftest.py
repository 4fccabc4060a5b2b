"""A broker, the operator's side of it, the agent's link and outbox, in a hurry: a product's second is a test's hour."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet import backoff
from fleet.agent import inbox
from fleet.agent import link as link_module
from fleet.agent.link import Link
from fleet.agent.tests.brokers import Operator, Seen
from fleet.agent.tests.publishing import BUCKET, Publishing
from fleet.bus.tests.servers import Server
from fleet.wire import kv_subject


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.fixture
async def operator(server: Server) -> AsyncIterator[Operator]:
    """Looks at the broker, and does what an operator does; it has made no bucket yet."""
    operator = await Operator.connect(server)
    try:
        yield operator
    finally:
        await operator.close()


@pytest.fixture
def link(server: Server, monkeypatch: pytest.MonkeyPatch) -> Link:
    """Not run yet: what listens has to be there first."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 0.01)
    monkeypatch.setattr(backoff, "_DELAY_S_MAX", 0.05)
    monkeypatch.setattr(inbox, "_READ_EVERY_S", 3600.0)
    monkeypatch.setattr(link_module, "_RECONNECT_WAIT_S", (0.01, 0.02))
    return Link(server.url, name="agent")


@pytest.fixture
def agent(link: Link, operator: Operator) -> Publishing:
    return Publishing(link, operator)


@pytest.fixture
async def written(operator: Operator) -> Seen[tuple[str, bytes]]:
    """What was sent to the bucket, refused or not: subject and payload."""
    seen: Seen[tuple[str, bytes]] = Seen()

    async def saw(message: object) -> None:
        seen.saw((str(getattr(message, "subject", "")), bytes(getattr(message, "data", b""))))

    await operator.client.subscribe(kv_subject(BUCKET, ">"), cb=saw)
    await operator.js.account_info()
    return seen
