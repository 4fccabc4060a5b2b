"""A request to publish everything again is heeded at a random time within its window, and bounded."""

import random

import pytest

from fleet.agent.link import Link
from fleet.agent.recall import Recall
from fleet.agent.tests.brokers import Operator, Seen, ready, running
from fleet.bus import republish
from fleet.wire import REPUBLISH_SUBJECT


@pytest.mark.rule("A28")
async def test_everything_is_called_once_within_the_window(
    link: Link, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is drawn from the whole window; a request that comes meanwhile changes nothing."""
    windows: Seen[tuple[float, float]] = Seen()
    called: Seen[str] = Seen()

    def draw(low: float, high: float) -> float:
        windows.saw((low, high))
        return 0.05

    monkeypatch.setattr(random, "uniform", draw)
    recall = Recall(link, [lambda: called.saw("beats"), lambda: called.saw("reports")])
    async with running(link.run(), recall.run()):
        await ready(link)

        for window_s in (30, 50, 70):
            await republish.ask(operator.client, window_s)
        await called.until(lambda seen: len(seen) == 2)
        await republish.ask(operator.client, 40)
        await called.until(lambda seen: len(seen) == 4)
    assert called == ["beats", "reports"] * 2
    assert [window for window in windows if window[0] == 0] == [(0, 30), (0, 40)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"window_s": -1}',
        b'{"window_s": 1e3}',
        b'{"window_s": "30"}',
        b'{"window_s": 86401}',
        b'{"window_s": 0, "x": "' + b"x" * 1024 + b'"}',
    ],
)
async def test_garbage_is_no_request(link: Link, operator: Operator, request_bytes: bytes) -> None:
    """It is said, and the next good request is heeded; a field of a newer operator is no garbage."""
    called: Seen[None] = Seen()
    recall = Recall(link, [lambda: called.saw(None)])
    async with running(link.run(), recall.run()):
        await ready(link)
        await operator.client.publish(REPUBLISH_SUBJECT, request_bytes)
        await operator.js.account_info()
        await ready(link)
        assert not recall._asked.is_set()
        await operator.client.publish(REPUBLISH_SUBJECT, b'{"window_s": 0, "newer": true}')
        await called.until(bool)
    assert called == [None]
