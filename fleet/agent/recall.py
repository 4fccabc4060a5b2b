"""The operator's request to all agents to publish everything again, each at a random time within its window."""

import asyncio
import random
from collections.abc import Callable, Sequence

from nats.aio.msg import Msg

from fleet.agent.link import Link
from fleet.canonical import loads
from fleet.errors import WireError
from fleet.fields import Fields
from fleet.logs import get_logger
from fleet.wire import REPUBLISH_SUBJECT

_REQUEST_BYTES_MAX = 1024
_WINDOW_S_MAX = 86400


class Recall:
    """Calls each of `again` once the time has come. A request that comes while one waits changes nothing."""

    def __init__(self, link: Link, again: Sequence[Callable[[], None]]) -> None:
        self._again = again
        self._window_s = 0
        self._asked = asyncio.Event()
        self._log = get_logger("recall")
        link.listen(REPUBLISH_SUBJECT, self._told)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            delay_s = random.uniform(0, self._window_s)  # noqa: S311 - spreads load, guards nothing
            self._log.info("republish_asked", window_s=self._window_s, delay_s=round(delay_s, 1))
            await asyncio.sleep(delay_s)
            self._asked.clear()
            for call in self._again:
                call()

    def _told(self, message: Msg) -> None:
        try:
            request = Fields(loads(message.data, size_bytes_max=_REQUEST_BYTES_MAX))
            window_s = request.integer("window_s", 0, _WINDOW_S_MAX)
        except WireError as e:
            self._log.warning("republish_request_ignored", reason=str(e))
            return
        self._window_s = window_s
        self._asked.set()
