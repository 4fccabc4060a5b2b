"""The link is made in the background, for ever, and whoever uses it learns at once that it is lost."""

import asyncio

import pytest
from nats.aio.msg import Msg

from fleet.agent import link as link_module
from fleet.agent.link import Link
from fleet.agent.tests.brokers import Operator, Seen, count_backs, ready, running, within
from fleet.bus.tests.servers import Server
from fleet.errors import PeerAway

SECRET = "s3cret"  # noqa: S105 - a test's own
AUTH = ("--user", "u", "--pass", SECRET)


@pytest.mark.rule("A32")
async def test_it_waits_for_a_broker_that_comes_later(server: Server, link: Link) -> None:
    """Nobody is there at first; what was to be listened to is, once somebody is."""
    await server.kill()
    seen: Seen[Msg] = Seen()
    link.listen("hello", seen.saw)
    async with running(link.run()):
        with pytest.raises(PeerAway, match="NATS is away"):
            await link.publish("hello", b"x")
        await server.start()
        await ready(link)
        await link.publish("hello", b"x")
        await seen.until(lambda told: [message.data for message in told] == [b"x"])
        assert link.trouble is None


async def test_a_loss_ends_what_is_under_way(server: Server, link: Link, operator: Operator) -> None:
    """A request does not sit out its deadline once the connection is gone; afterwards the link is there again."""
    backs = count_backs(link)
    asked: Seen[None] = Seen()

    async def ask() -> None:
        async with link.life():
            asked.saw(None)
            await asyncio.get_running_loop().create_future()

    async with running(link.run()):
        await within(link.up.wait())
        under_way = asyncio.create_task(ask())
        await asked.until(bool)
        await server.kill()
        with pytest.raises(PeerAway, match="the connection to NATS was lost"):
            await within(under_way)
        assert not link.up.is_set()
        await operator.restart()
        await backs.until(lambda seen: len(seen) == 2)
        async with link.life() as js:
            await js.account_info()


@pytest.mark.rule("A32")
async def test_refused_credentials_are_said_and_asked_again_slowly(
    server: Server, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused while it was connected, refused at a new start, accepted in the end; the password is in no message."""
    monkeypatch.setattr(link_module, "_REFUSED_WAIT_S", (0.05, 0.1))
    refused: Seen[str] = Seen()
    monkeypatch.setattr(link, "_error", refused.saw)
    link._url = server.url.replace("nats://", "nats://u:wrong@")
    async with running(link.run()):
        await within(link.up.wait())
        await server.restart(*AUTH)
        await refused.until(lambda said: len([line for line in said if "check FLEET_NATS_URL" in line]) >= 3)
        await server.restart()
        await within(link.up.wait())
    assert "wrong" not in "".join(refused)


async def test_a_client_that_gave_up_is_replaced(link: Link, operator: Operator) -> None:
    """The library closes for good on some errors of the server's: another client takes over, subscriptions and all."""
    seen: Seen[Msg] = Seen()
    link.listen("hello", seen.saw)
    backs = count_backs(link)
    async with running(link.run()):
        await within(link.up.wait())
        async with link.life() as js:
            before = js._nc
            await js._nc._send_command(b"NONSENSE\r\n")
            await js._nc._flush_pending()
        await backs.until(lambda seen: len(seen) == 2)
        async with link.life() as js:
            assert js._nc is not before
        await ready(link)
        await operator.client.publish("hello", b"x")
        await seen.until(bool)


async def test_a_listener_that_raises_ends_it(link: Link) -> None:
    """A bug is no error of the connection, and is not swallowed."""

    def crash(_: Msg) -> None:
        raise ZeroDivisionError

    link.listen("hello", crash)
    runs = asyncio.create_task(link.run())
    await within(link.up.wait())
    await link.publish("hello", b"x")
    with pytest.raises(ZeroDivisionError):
        await within(runs)


async def test_the_end_leaves_nothing_behind(link: Link) -> None:
    """Cancelled at any time, also before it was connected."""
    before = asyncio.all_tasks()
    async with running(link.run()):
        await within(link.up.wait())
    async with running(link.run()):
        pass
    assert asyncio.all_tasks() == before


async def test_the_end_leaves_nothing_behind_when_the_broker_is_dead(server: Server, link: Link) -> None:
    """Ended while there is nobody to say good-bye to."""
    link.listen("hello", lambda _: None)
    before = asyncio.all_tasks()
    async with running(link.run()):
        await within(link.up.wait())
        await server.kill()
    assert asyncio.all_tasks() == before
