"""Parses keys as `fleet.wire` does, and remembers what they named.

A replay brings each pair at least twice, as a desired-state key and as a device-state key, and each device once per
pair. Every text is checked once, and equal names come back as the same object: dict lookups by a pair then end at an
identity check, and a hundred thousand pairs do not hold a hundred thousand copies of their names.
"""

from functools import lru_cache

from fleet import wire
from fleet.wire import DeviceId, Pair

_STATE = "state."
_HEARTBEAT = "heartbeat."
_INFO = "info."


class PairKeys:
    """The names that one operator has seen. Each method raises the WireError of `fleet.wire`'s parser of that key.

    Beyond `pairs_max` pairs, `devices_max` devices or as many deployments, the one not seen for longest is forgotten:
    it is parsed again when it comes back, as an equal, new object.
    """

    def __init__(self, *, pairs_max: int = 500_000, devices_max: int = 100_000) -> None:
        self._device = device = lru_cache(devices_max)(wire.device_id)
        deployment = lru_cache(devices_max)(wire.deployment_name)

        def pair(key: str) -> Pair:
            # As `wire.parse_desired_key`, with names that are shared.
            device_text, _, deployment_text = key.rpartition(".")
            return Pair(device(device_text), deployment(deployment_text))

        self._pair = lru_cache(pairs_max)(pair)

    def of_desired_key(self, key: str) -> Pair:
        return self._pair(key)

    def of_state_key(self, key: str) -> Pair:
        if not key.startswith(_STATE):
            return wire.parse_state_key(key)  # which refuses it
        return self._pair(key.removeprefix(_STATE))

    def of_heartbeat_key(self, key: str) -> DeviceId:
        if not key.startswith(_HEARTBEAT):
            return wire.parse_heartbeat_key(key)
        return self._device(key.removeprefix(_HEARTBEAT))

    def of_info_key(self, key: str) -> DeviceId:
        if not key.startswith(_INFO):
            return wire.parse_info_key(key)
        return self._device(key.removeprefix(_INFO))
