"""Asks devices to say again what a bucket lost (rule R6), and again while some have not.

content lost -> ask -> 3 s -> ask -> 10 s -> ask -> 60 s -> ask
                       until every device that is known has introduced itself since
"""

import asyncio

from nats.aio.client import Client

from fleet.bus import republish
from fleet.errors import PeerError
from fleet.logs import get_logger
from fleet.operator.books import DEVICES
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.wire import DeviceId

_WINDOW_S_MIN, _DEVICES_PER_S = 30, 2000
# After the server was away, agents connect again within seconds, or minutes; then the window has to pass.
_AGAIN_AFTER_S = (3.0, 10.0, 60.0)


class Asking:
    """One series of questions at a time: for what was lost last, and all before."""

    def __init__(self, client: Client, state: FleetState, recovery: Recovery) -> None:
        self._client = client
        self._state = state
        self._recovery = recovery
        self._heard: set[DeviceId] = set()
        self._series: asyncio.Task[None] | None = None
        self._log = get_logger("operator")

    def lost(self) -> None:
        """Begin, or begin anew."""
        if self._series is not None:
            self._series.cancel()
        self._heard.clear()
        self._series = asyncio.get_running_loop().create_task(self._run(), name="republish")

    def heard(self, device: DeviceId) -> None:
        """A device has introduced itself."""
        if self._series is not None and not self._series.done():
            self._heard.add(device)

    async def _run(self) -> None:
        await self._ask()
        for pause_s in _AGAIN_AFTER_S:
            await asyncio.sleep(pause_s)
            if self._all_heard():
                return
            await self._ask()

    def _all_heard(self) -> bool:
        """As long as nobody knows which devices there are, nobody knows that either."""
        return self._recovery.sources[DEVICES].current and self._state.devices.keys() <= self._heard

    async def _ask(self) -> None:
        window_s = max(_WINDOW_S_MIN, len(self._state.devices) // _DEVICES_PER_S)
        try:
            await republish.ask(self._client, window_s)
        except PeerError as e:
            self._log.warning("republish_not_asked", reason=str(e))
        else:
            self._log.info("republish_asked", window_s=window_s, heard=len(self._heard))
