"""Desired state that no agent may act on, as data: what it is made of would be a step forward if it were sound."""

import json
from collections.abc import Callable, Mapping

from fleet.wire import DesiredState
from scenarios.worlds.payloads import MALFORMED_DESIRED

Json = dict[str, object]
Spoil = Callable[[bytes], bytes]

_TOO_MANY = 500


def _score(change: Callable[[Json, list[Json]], None]) -> Spoil:
    """The good value after `change` of its score and services, in place."""

    def spoil(good: bytes) -> bytes:
        value = json.loads(good)
        change(value["score"], value["score"]["services"])
        return json.dumps(value).encode()

    return spoil


def _owner(**fields: object) -> Spoil:
    def spoil(good: bytes) -> bytes:
        value = json.loads(good)
        value["owner"] |= fields
        return json.dumps(value).encode()

    return spoil


def _many(_: Json, services: list[Json]) -> None:
    services[:] = [services[0] | {"name": f"service-{i}"} for i in range(_TOO_MANY)]


REFUSED: Mapping[str, Spoil] = {
    **MALFORMED_DESIRED,
    "unknown-field-deep": _score(lambda _, services: services[0].update(privileged=True)),
    "unknown-field-of-lifecycle": _score(lambda score, _: score.update(restart="always")),
    "wrong-type": _owner(generation="2"),
    "true-for-one": _owner(generation=True),
    "500-services": _score(_many),
    "no-services": _score(lambda _, services: services.clear()),
    "same-name-twice": _score(lambda _, services: services.append(services[0])),
    "no-such-signal": _score(lambda score, _: score.update(lifecycle={"stop_signal": "SIGNO", "grace_period_secs": 1})),
    "shell-for-a-command": _score(lambda _, services: services[0].update(command="/bin/payload sleep")),
}
"""By what is wrong with it. Each is refused as a whole."""


def spoilt(kind: str, good: DesiredState) -> bytes:
    return REFUSED[kind](good.encode())
