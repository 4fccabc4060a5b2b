"""Values that no agent and no operator of ours writes: what others have left in buckets, as data.

Each is made of a good one, so that only what is named is wrong with it. The reports all say Failed: whoever half
understands one shows it.
"""

import json
from collections.abc import Callable, Mapping

from fleet.canonical import dumps
from fleet.wire import Bucket

Spoil = Callable[[bytes], bytes]
Json = dict[str, object]

_MEGABYTE = 1_000_000
_DEPTH = 40
_DEPTH_BOMB = 100_000


def _changed(**fields: object) -> Spoil:
    """The good value with other fields, some of them new."""
    return lambda good: json.dumps(_object(good) | fields).encode()


def _without(field: str) -> Spoil:
    return lambda good: json.dumps({k: v for k, v in _object(good).items() if k != field}).encode()


def _ending(text: bytes) -> Spoil:
    """The good object with one more field, of any bytes, before its last brace."""
    return lambda good: good.rstrip().removesuffix(b"}") + b"," + text + b"}"


def _object(good: bytes) -> Json:
    found = json.loads(good)
    if not isinstance(found, dict):
        raise TypeError("a payload is an object")
    return found


MALFORMED_STATE: Mapping[str, Spoil] = {
    "cut-short": lambda good: good[: len(good) // 2],
    "wrong-type": _changed(last_event_at=1795255800),
    "not-utf-8": _ending(b'"last_error":"disk \xff full"'),
    "one-megabyte": _changed(last_error="x" * _MEGABYTE),
    "deep-nesting": _ending(b'"more":' + b"[" * _DEPTH + b"]" * _DEPTH),
    "depth-bomb": lambda _: b"[" * _DEPTH_BOMB,
    "duplicate-key": _ending(b'"phase":"Running"'),
    "unknown-phase": _changed(phase="Dancing"),
    "nan": _ending(b'"load":NaN'),
    "empty": lambda _: b"",
}

MALFORMED_DESIRED: Mapping[str, Spoil] = {
    "garbage": lambda _: b"\x00\xff{not json",
    "truncated": lambda good: good[:-20],
    "empty": lambda _: b"",
    "not-utf-8": _ending(b'"note":"\xff"'),
    "one-megabyte": _changed(note="x" * _MEGABYTE),
    # Of a later version that knows more, and of an earlier one that knew less.
    "unknown-field": _changed(priority=1),
    "missing-field": _without("owner"),
}


def _edited(**owner: object) -> Spoil:
    def edit(good: bytes) -> bytes:
        value = _object(good)
        value["owner"] = {**_mapping(value["owner"]), **owner}
        return dumps(value)  # type: ignore[arg-type] # it came as JSON

    return edit


def _mapping(value: object) -> Json:
    if not isinstance(value, dict):
        raise TypeError("an owner is an object")
    return value


def _score_edited(good: bytes) -> bytes:
    return good.replace(b"registry.example/app:1", b"registry.example/app:by-hand")


# Well-formed, and not what the Deployment asks for.
WRONG_DESIRED: Mapping[str, Spoil] = {
    "score-edited": _score_edited,
    "foreign-uid": _edited(uid="00000000-0000-0000-0000-000000000000"),
    "score-and-generation": lambda good: _edited(generation=99)(_score_edited(good)),
}

# Well-formed, and what the Deployment asks for: the contract leaves them as they are.
RIGHT_DESIRED: Mapping[str, Spoil] = {
    "generation-only": _edited(generation=99),
    "whitespace": lambda good: json.dumps(_object(good), indent=2).encode(),
    "other-key-order": lambda good: json.dumps(dict(reversed(_object(good).items()))).encode(),
}

DESIRED: Mapping[str, Spoil] = {**MALFORMED_DESIRED, **WRONG_DESIRED, **RIGHT_DESIRED}

# One good value of each bucket that agents write, for keys that are wrong.
GOOD: Mapping[Bucket, bytes] = {
    Bucket.DEVICE_STATE: b'{"container_ids":{},"last_event_at":"2026-11-21T09:30:00.000000Z",'
    b'"owner":{"generation":1,"uid":"6f1c2a44"},"phase":"Running"}',
    Bucket.DEVICE_INFO: b'{"agent_version":"1.4.2","arch":"aarch64","boot_id":"0c9b","os":"linux"}',
    Bucket.DEVICE_HEARTBEAT: b'{"agent_version":"1.4.2","busy":false,"instance_id":"b1d2","sequence":42}',
}
