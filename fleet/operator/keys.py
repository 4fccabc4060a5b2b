"""Parses keys as `fleet.wire` does, and remembers what they named.

A replay brings each pair at least twice, as a desired-state key and as a device-state key, and each device once per
pair. Every text is checked once, and equal names come back as the same object: dict lookups by a pair then end at an
identity check, and a hundred thousand pairs do not hold a hundred thousand copies of their names.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter

from fleet import wire
from fleet.wire import DeviceId, Pair
from fleet.wire_keys import after

_STATE = "state."
_HEARTBEAT = "heartbeat."
_INFO = "info."


class PairKeys:
    """The names that one operator has seen. Each method raises the WireError of `fleet.wire`'s parser of that key.

    Beyond `pairs_max` pairs, the one not seen for longest is forgotten: it is parsed again when it comes back, as an
    equal, new object.
    """

    def __init__(self, *, pairs_max: int = 500_000) -> None:
        self._pair = lru_cache(pairs_max)(wire.parse_desired_key)

    def of_desired_key(self, key: str) -> Pair:
        return self._pair(key)

    def of_state_key(self, key: str) -> Pair:
        return self._pair(after(_STATE, key))

    def of_heartbeat_key(self, key: str) -> DeviceId:
        return wire.device_id(after(_HEARTBEAT, key))

    def of_info_key(self, key: str) -> DeviceId:
        return wire.device_id(after(_INFO, key))

    # Each of many, in their order

    def of_desired_keys(self, keys: Sequence[str]) -> list[Pair]:
        return list(map(self._pair, keys))

    def of_state_keys(self, keys: Sequence[str]) -> list[Pair]:
        return list(map(self._pair, _after(_STATE, keys)))

    def of_heartbeat_keys(self, keys: Sequence[str]) -> list[DeviceId]:
        return list(map(wire.device_id, _after(_HEARTBEAT, keys)))

    def of_info_keys(self, keys: Sequence[str]) -> list[DeviceId]:
        return list(map(wire.device_id, _after(_INFO, keys)))


def _after(prefix: str, keys: Sequence[str]) -> Iterable[str]:
    """As `after`, of each key."""
    # What stands between two texts in their order begins as both of them do.
    if min(keys).startswith(prefix) and max(keys).startswith(prefix):
        return map(itemgetter(slice(len(prefix), None)), keys)
    return [after(prefix, key) for key in keys]
