"""The link to the API server is cut: open connections are closed and new ones refused."""

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.faults.http_fault import sound
from harness.faults.http_point import EVERYTHING, HttpPoint
from harness.services.toxiproxy import Proxy


class HttpCut(Fault):
    """One cut of the link that leads to the gate."""

    name = "http-cut"

    def __init__(self, point: HttpPoint, link: Proxy) -> None:
        self.target = link.name
        self._point = point
        self._link = link

    async def apply(self) -> None:
        await self._link.disable()

    async def prove_active(self) -> str:
        seen = await self._point.ask(EVERYTHING, at=self._link.listen)
        if seen.ended != "no-answer":
            raise ServiceError(f"{self.target} still carries an answer: {seen.words}")
        return "nobody answers through the link"

    async def heal(self) -> None:
        await self._link.enable()

    async def prove_healed(self) -> str:
        return sound(await self._point.ask(EVERYTHING, at=self._link.listen))
