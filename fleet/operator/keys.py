"""Parses keys as `fleet.wire` does, and remembers what they named.

A replay brings each pair at least twice, as a desired-state key and as a device-state key, and each device once per
pair. Every text is checked once, and equal names come back as the same object: dict lookups by a pair then end at an
identity check, and a hundred thousand pairs do not hold a hundred thousand copies of their names.
"""

from collections.abc import Sequence
from operator import itemgetter

from fleet import wire
from fleet.wire import DeviceId, Pair
from fleet.wire_keys import after

_STATE = "state."
_HEARTBEAT = "heartbeat."
_INFO = "info."


class PairKeys:
    """The names that one operator has seen. Each method raises the WireError of `fleet.wire`'s parser of that key.

    With `pairs_max` pairs all of them are forgotten: each is parsed again when it comes back, as an equal, new object.
    (To forget the one not seen for longest, each that is seen had to be moved to the end of a list, which with hundreds
    of thousands of them takes the memory longer than all else here.)
    """

    def __init__(self, *, pairs_max: int = 500_000) -> None:
        self._pairs_max = pairs_max
        self._pairs: dict[str, Pair] = {}

    def of_desired_key(self, key: str) -> Pair:
        return self._pairs.get(key) or self._new(key)

    def of_state_key(self, key: str) -> Pair:
        return self.of_desired_key(after(_STATE, key))

    def of_heartbeat_key(self, key: str) -> DeviceId:
        return wire.device_id(after(_HEARTBEAT, key))

    def of_info_key(self, key: str) -> DeviceId:
        return wire.device_id(after(_INFO, key))

    # Each of many, in their order

    def of_desired_keys(self, keys: Sequence[str]) -> list[Pair]:
        return [known or self._new(key) for known, key in zip(map(self._pairs.get, keys), keys, strict=True)]

    def of_state_keys(self, keys: Sequence[str]) -> list[Pair]:
        return self.of_desired_keys(_after(_STATE, keys))

    def of_heartbeat_keys(self, keys: Sequence[str]) -> list[DeviceId]:
        return list(map(wire.device_id, _after(_HEARTBEAT, keys)))

    def of_info_keys(self, keys: Sequence[str]) -> list[DeviceId]:
        return list(map(wire.device_id, _after(_INFO, keys)))

    def _new(self, key: str) -> Pair:
        pair = wire.parse_desired_key(key)
        if len(self._pairs) >= self._pairs_max:
            self._pairs.clear()
        self._pairs[key] = pair
        return pair


def _after(prefix: str, keys: Sequence[str]) -> list[str]:
    """As `after`, of each key."""
    # What stands between two texts in their order begins as both of them do.
    if min(keys).startswith(prefix) and max(keys).startswith(prefix):
        return list(map(itemgetter(slice(len(prefix), None)), keys))
    return [after(prefix, key) for key in keys]
