"""Which devices are silent, judged by the broker's clock alone. Pure: every time is an argument.

A device is silent when its last heartbeat is older than the limit. But a beat may be missing because the broker took
none, or because we were not there to see it. So silence is judged only
- when later beats of others show that the broker was accepting all the while after the limit had passed, or
- after one limit of unbroken connection of ours.
Until then it is unknown. A verdict stands until the device beats again.

A pause in everybody's beats is the broker's, or ours: the first to beat after it says nothing about those who are about
to. So the wait for the others begins anew with that beat.
"""

import math
from collections.abc import Mapping
from enum import StrEnum

from fleet.wire import DeviceId

# Of the limit. Agents beat several times within it, so that no device makes such a pause while all is well.
_PAUSE_SHARE = 0.5


class Verdict(StrEnum):
    ALIVE = "alive"
    UNKNOWN = "unknown"
    SILENT = "silent"


class Liveness:
    """Beats in, verdicts out; O(1) per beat, amortised.

    Each queue holds its devices in the order of their last beats, which is the order in which the bucket stored them.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        # Of devices that never beat. The bucket's creation stands for the beat that they should have sent since.
        self.of_unheard = Verdict.UNKNOWN
        # Devices that beat in time, with the time of the last beat; for others' eyes only.
        self.alive: dict[DeviceId, float] = {}
        self._unknown: dict[DeviceId, float] = {}
        self._silent: dict[DeviceId, float] = {}
        self._unheard_silent = False
        self._created_s = -math.inf
        self._newest_s = -math.inf
        # The first beat after the last pause that we lived to see; a first replay tells last beats only, and no pause.
        self._accepting_since_s = -math.inf
        self._was_connected = False
        # Broker's clock minus ours.
        self._offset_s: float | None = None
        self._connected_at_s: float | None = None

    def opened(self, created_s: float, broker_now_s: float, now_s: float) -> None:
        """The heartbeat bucket is about to be replayed: when it was made, and what its server's clock says now."""
        self._unheard_silent &= created_s == self._created_s
        self._created_s = created_s
        self._offset_s = broker_now_s - now_s
        self._connected_at_s = None

    def connected(self, now_s: float) -> None:
        """From now on, no beat that the broker stores escapes us."""
        self._connected_at_s = now_s
        self._was_connected = True

    def broken(self) -> None:
        """The connection, or we, stood still."""
        self._connected_at_s = None

    def beat(self, device: DeviceId, at_s: float) -> bool:
        """A heartbeat that the broker stored at `at_s`. True if the device's verdict may have changed."""
        if self._was_connected and at_s - self._newest_s > self.limit_s * _PAUSE_SHARE:
            self._accepting_since_s = at_s
        self._newest_s = max(self._newest_s, at_s)
        queue = self._queue_of(device)
        if queue is not None:
            if queue[device] == at_s:
                # A replay tells the last beat once more; that is no new one.
                return False
            del queue[device]
        self.alive[device] = at_s
        return queue is not self.alive

    def load(self, beats: Mapping[DeviceId, float], count: int) -> bool:
        """`count` beats of a first replay, in order; False, and nothing was done, if a device had beaten before."""
        known = (self.alive, self._unknown, self._silent)
        if self._was_connected or len(beats) != count or not all(queue.keys().isdisjoint(beats) for queue in known):
            return False
        self.alive.update(beats)
        self._newest_s = max(self._newest_s, *beats.values())
        return True

    def forget(self, device: DeviceId) -> None:
        """The device itself was forgotten, and so is its last beat."""
        queue = self._queue_of(device)
        if queue is not None:
            del queue[device]

    def has_beat(self, device: DeviceId) -> bool:
        return self._queue_of(device) is not None

    def verdict(self, device: DeviceId) -> Verdict:
        if device in self.alive:
            return Verdict.ALIVE
        if device in self._silent:
            return Verdict.SILENT
        return Verdict.UNKNOWN if device in self._unknown else self.of_unheard

    def advance(self, now_s: float) -> tuple[list[DeviceId], bool]:
        """Judge by what is known at `now_s`: devices whose verdict changed, and whether that of the unheard did."""
        quiet_before_s, silent_before_s = self._borders(now_s)
        changed = self._move(self._unknown, self._silent, silent_before_s)
        changed += self._move(self.alive, self._silent, silent_before_s)
        changed += self._move(self.alive, self._unknown, quiet_before_s)
        before = self.of_unheard
        self._unheard_silent |= self._created_s < silent_before_s
        if self._unheard_silent:
            self.of_unheard = Verdict.SILENT
        elif self._created_s < quiet_before_s:
            self.of_unheard = Verdict.UNKNOWN
        else:
            self.of_unheard = Verdict.ALIVE
        return changed, self.of_unheard is not before

    def _borders(self, now_s: float) -> tuple[float, float]:
        """Last beats before the first are overdue; before the second, somebody can know that they were not sent."""
        if self._offset_s is None:
            return -math.inf, -math.inf
        quiet_before_s = max(self._newest_s, self._offset_s + now_s) - self.limit_s
        silent_before_s = self._newest_s - self.limit_s
        if silent_before_s <= self._accepting_since_s:
            silent_before_s = -math.inf
        if self._connected_at_s is not None and now_s - self._connected_at_s > self.limit_s:
            silent_before_s = quiet_before_s
        return quiet_before_s, silent_before_s

    def _queue_of(self, device: DeviceId) -> dict[DeviceId, float] | None:
        for queue in (self.alive, self._unknown, self._silent):
            if device in queue:
                return queue
        return None

    @staticmethod
    def _move(source: dict[DeviceId, float], target: dict[DeviceId, float], before_s: float) -> list[DeviceId]:
        moved = []
        for device, at_s in source.items():
            if at_s >= before_s:
                break
            moved.append(device)
        for device in moved:
            target[device] = source.pop(device)
        return moved
