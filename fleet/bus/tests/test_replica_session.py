"""One consumer's life inside a replica: what each message means, and what is no message of ours."""

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleet.bus import replica
from fleet.bus.tests.sink import BUCKET, Sink, delivery
from fleet.errors import PeerAway


@pytest.fixture
def sink() -> Sink:
    return Sink()


def session(client: Client, sink: Sink) -> replica._Session:
    return replica._Session(client, BUCKET, sink, set())


async def test_a_delivery_after_the_end_is_nobodys(client: Client, sink: Sink) -> None:
    """What arrives once a session has ended is not folded in: the next replay has it."""
    ended = session(client, sink)
    ended.fail("left")
    await ended.received(delivery(client, 1))
    ended.promised(0)
    assert sink.entries == []
    assert sink.log == []


async def test_a_status_of_the_server_is_trouble(client: Client, sink: Sink) -> None:
    """A status that is no heartbeat, such as "consumer deleted", ends the session with the server's words."""
    hit = session(client, sink)
    await hit.received(delivery(client, 1, {"Status": "409", "Description": "Consumer Deleted"}))
    assert hit.failure == "the server says 409 Consumer Deleted"
    assert sink.entries == []


async def test_a_heartbeat_that_counts_more_than_we_saw_is_a_gap(client: Client, sink: Sink) -> None:
    """The last message may be the one that was lost: the heartbeat after it tells."""
    hit = session(client, sink)
    await hit.received(delivery(client, 1))
    await hit.received(Msg(_client=client, headers={"Status": "100", "Nats-Last-Consumer": "2"}))
    assert hit.failure == "the server delivered 2, we saw 1"


async def test_flow_control_is_answered(client: Client, sink: Sink) -> None:
    """A server that waits for us to catch up gets its answer, whichever way it asks."""
    asked = await client.subscribe("fc.*")
    hit = session(client, sink)
    await hit.received(Msg(_client=client, reply="fc.request", headers={"Status": "100"}))
    await hit.received(Msg(_client=client, headers={"Status": "100", "Nats-Consumer-Stalled": "fc.stalled"}))
    assert [(await asked.next_msg(timeout=5)).subject for _ in range(2)] == ["fc.request", "fc.stalled"]
    assert hit.failure is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("$JS.ACK.KV_x.c.1.17.3.1700000000000000000.5", (17, 3, 5)),
        ("$JS.ACK.hub.ACCOUNT.KV_x.c.1.17.3.1700000000000000000.5.rnd", (17, 3, 5)),
        ("$JS.ACK.KV_x.c.1.18446744073709551615.3.1.5", (2**64 - 1, 3, 5)),
    ],
)
def test_both_forms_of_a_delivery_are_read(reply: str, expected: tuple[int, int, int]) -> None:
    """The short form and the one with domain and account; revisions of 64 bits."""
    assert replica._delivery(reply) == expected


@pytest.mark.parametrize("reply", ["", "a.b", "$JS.ACK.KV_x.c.1.x.3.1.5"])
def test_another_reply_is_no_delivery(reply: str) -> None:
    """Anything else is named in the error."""
    with pytest.raises(PeerAway, match="a message that no consumer sent"):
        replica._delivery(reply)
