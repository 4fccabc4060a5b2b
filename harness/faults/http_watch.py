"""Watches that end when they should not: dropped again and again, or told that their version is gone."""

from typing import Literal

import msgspec

from harness.errors import ServiceError
from harness.faults.http_fault import HttpFault
from harness.faults.http_point import WATCHES, HttpPoint, Seen
from harness.services.gate_ways import GONE, CutAfterBytes, CutAfterTime, Gone
from harness.services.kube_client import KubeAdmin

_ERROR_EVENT = b'{"type":"ERROR"'
# Of the watch that we open ourselves, which asks for one second.
_WATCH_S = 1.0


class WatchDropped(HttpFault):
    """Each watch breaks when it has lived for so long, under a second, or when so many bytes have passed."""

    def __init__(self, point: HttpPoint, *, after_s: float | None = None, after_bytes: int | None = None) -> None:
        if after_bytes is not None:
            super().__init__(point, WATCHES, CutAfterBytes(after_bytes), "watch-dropped-after-bytes")
        elif after_s is not None and after_s < _WATCH_S:
            super().__init__(point, WATCHES, CutAfterTime(after_s), "watch-dropped")
        else:
            raise ServiceError(f"watch-dropped: say after how many bytes, or a time below {_WATCH_S:g} s")

    def bites(self, seen: Seen) -> bool:
        return seen.ended == "broken" and seen.status == 200 and seen.took_s < _WATCH_S  # noqa: PLR2004 - HTTP's OK


class WatchExpired(HttpFault):
    """History is compacted away: each watch from a version gets 410, as its answer or as an event inside it.

    A version that was refused stays refused when it is over; healing makes the versions go on, so a list gives another.
    """

    def __init__(self, point: HttpPoint, admin: KubeAdmin, told: Literal["as-answer", "as-event"]) -> None:
        self._gone = Gone(inside_watch=told == "as-event")
        super().__init__(point, WATCHES, self._gone, f"watch-expired-{told}")
        self._as_event = told == "as-event"
        self._admin = admin

    def bites(self, seen: Seen) -> bool:
        return seen.body.startswith(_ERROR_EVENT) if self._as_event else seen.status == GONE

    async def heal(self) -> None:
        """The trouble stays on, for the versions that are gone."""
        self._gone.compacting = False
        namespace = self._point.namespace
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "fleetproof-version-"}}
        answer = await self._admin.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body=config_map)
        if not isinstance(answer, dict):
            raise ServiceError(f"{self.name}: no newer version was made: {msgspec.json.encode(answer)[:200]!r}")
