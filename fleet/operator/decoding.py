"""Decodes what devices report, several times faster than `fleet.wire` and with exactly its verdicts.

A replay brings hundreds of thousands of reports, nearly all in the canonical form. msgspec decodes one into a struct,
and the struct is encoded again. If that gives the very bytes that came in, they are JSON that says what the struct
holds and nothing else: no key twice, no unknown field, no number, escape or space in another form. What is left to
judge are texts and counts, by the rules of `fleet.rules`. Whatever raises a doubt on the way goes to `fleet.wire`,
whose value or error stands. The proof rests on msgspec's encoder alone: a lenient decoder costs time, not truth.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, TypeVar

import msgspec

from fleet import rules, wire
from fleet.canonical import INT_MAX, parse_time
from fleet.errors import WireError
from fleet.fields import TextRule

_SHARED_MAX: Final = 16_384


class Report(msgspec.Struct, frozen=True, gc=False):
    """What the operator keeps of a `wire.DeviceState`; `uid` and `generation` are its owner's.

    Reports of one Deployment share the text of its uid.
    """

    phase: wire.Phase
    last_event_at: datetime
    uid: str
    generation: int
    last_error: str | None = None


# The fields stand in the canonical order and what may be left out has a default: so they encode as `fleet.wire` does.
class _Owner(msgspec.Struct, gc=False):
    generation: Annotated[int, msgspec.Meta(ge=1, le=INT_MAX)]
    uid: str


class _DeviceState(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    container_ids: Annotated[dict[str, str], msgspec.Meta(max_length=rules.SERVICES_MAX)] = {}
    last_error: Annotated[str, msgspec.Meta(max_length=rules.LAST_ERROR.len_max)] | None = None
    last_event_at: str
    owner: _Owner
    phase: wire.Phase


class _DeviceInfo(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    agent_version: str
    arch: str
    boot_id: str
    labels: Annotated[dict[str, str], msgspec.Meta(max_length=rules.LABELS_MAX)] = {}
    os: str


class _Heartbeat(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    action_id: str | None = None
    agent_version: str
    busy: bool
    instance_id: str
    sequence: Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]


_reports = msgspec.json.Decoder(_DeviceState)
_infos = msgspec.json.Decoder(_DeviceInfo)
_heartbeats = msgspec.json.Decoder(_Heartbeat)
_encode = msgspec.json.Encoder().encode

_DOUBTS = (WireError, msgspec.MsgspecError, UnicodeError, RecursionError)
"""Everything by which the fast path gives up: depth bombs and broken UTF-8 have their own types in msgspec."""

S = TypeVar("S", bound=msgspec.Struct)


def _shared(rule: TextRule) -> Callable[[str], str]:
    """Return a `rule.check` for texts that many devices send: it remembers them and gives equal ones as one object."""
    return lru_cache(_SHARED_MAX)(rule.check)


_token = _shared(rules.TOKEN)
_service_name = _shared(rules.LABEL)
_agent_version = _shared(rules.VERSION)
_os = _shared(rules.TITLE)
_label_key = _shared(rules.LABEL_KEY)
_label_value = _shared(rules.LABEL_VALUE)


def decode_report(data: bytes) -> Report:
    """Decode a device-state payload; WireError as `wire.decode_device_state` raises it."""
    try:
        return _fast_report(data)
    except _DOUBTS:
        pass  # decided below, outside of this handler: the error of a doubt is not the refusal's context
    state = wire.decode_device_state(data)
    return Report(state.phase, state.last_event_at, _token(state.owner.uid), state.owner.generation, state.last_error)


def check_heartbeat(data: bytes) -> None:
    """Raise the WireError that `wire.decode_heartbeat` would; the operator needs none of the fields."""
    try:
        _fast_heartbeat(data)
    except _DOUBTS:
        pass
    else:
        return
    wire.decode_heartbeat(data)


def decode_info(data: bytes) -> wire.DeviceInfo:
    """Decode a device-info payload; WireError as `wire.decode_device_info` raises it."""
    try:
        return _fast_info(data)
    except _DOUBTS:
        pass
    return wire.decode_device_info(data)


def _fast_report(data: bytes) -> Report:
    state = _exactly(_reports, data, wire.DEVICE_STATE_BYTES_MAX)
    for name, container_id in state.container_ids.items():
        _service_name(name)
        rules.TOKEN.check(container_id)
    owner = state.owner
    return Report(state.phase, parse_time(state.last_event_at), _token(owner.uid), owner.generation, state.last_error)


def _fast_heartbeat(data: bytes) -> None:
    beat = _exactly(_heartbeats, data, wire.HEARTBEAT_BYTES_MAX)
    _agent_version(beat.agent_version)
    rules.TOKEN.check(beat.instance_id)
    if beat.action_id is not None:
        rules.TOKEN.check(beat.action_id)


def _fast_info(data: bytes) -> wire.DeviceInfo:
    info = _exactly(_infos, data, wire.DEVICE_INFO_BYTES_MAX)
    return wire.DeviceInfo(
        arch=_token(info.arch),
        os=_os(info.os),
        agent_version=_agent_version(info.agent_version),
        labels={_label_key(key): _label_value(value) for key, value in info.labels.items()},
        boot_id=rules.TOKEN.check(info.boot_id),
    )


def _exactly(decoder: msgspec.json.Decoder[S], data: bytes, size_bytes_max: int) -> S:
    """Decode bytes that say what the struct holds and nothing else; one of `_DOUBTS` otherwise."""
    if len(data) > size_bytes_max:
        raise WireError("too long")
    struct = decoder.decode(data)
    if _encode(struct) != data:
        raise WireError("not in the canonical form")
    return struct


class DesiredDecoder:
    """Decodes desired-state payloads; equal bytes give the same object back.

    The keys of one Deployment hold equal bytes, so nearly every decode of a replay is a lookup. The payloads that are
    remembered take at most `cache_bytes_max` bytes; the one not used for longest goes first. What they decode to may
    take some ten times as much.
    """

    def __init__(self, *, cache_bytes_max: int = 8 * 1024 * 1024) -> None:
        self._cache_bytes_max = cache_bytes_max
        self._cache_bytes = 0
        self._known: OrderedDict[bytes, wire.DesiredState] = OrderedDict()

    def decode(self, data: bytes) -> wire.DesiredState:
        """Decode as `wire.decode_desired_state` does, and raise its WireError; a refusal is not remembered."""
        known = self._known.get(data)
        if known is not None:
            self._known.move_to_end(data)
            return known
        desired = wire.decode_desired_state(data)
        self._known[data] = desired
        self._cache_bytes += len(data)
        while self._cache_bytes > self._cache_bytes_max:
            oldest, _ = self._known.popitem(last=False)
            self._cache_bytes -= len(oldest)
        return desired
