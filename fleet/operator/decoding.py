"""Decodes what devices report, several times faster than `fleet.wire` and with exactly its verdicts.

A replay brings hundreds of thousands of reports, nearly all in the canonical form. msgspec decodes one into a struct,
and the struct is encoded again. If that gives the very bytes that came in, they are JSON that says what the struct
holds and nothing else: no key twice, no unknown field, no number, escape or space in another form. What is left to
judge are texts and counts, by the rules of `fleet.rules`. Whatever raises a doubt on the way goes to `fleet.wire`,
whose value or error stands. The proof rests on msgspec's encoder alone: a lenient decoder costs time, not truth.

Many are decoded at once, one step after the other for all of them, which takes less than half of the time; a doubt
about one is a doubt about all, and is looked for by halves.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Annotated, Final, TypeVar

import msgspec

from fleet import rules, wire
from fleet.canonical import INT_MAX
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
    # Encoded as in the canonical form unless it is of a whole second: then it is in doubt.
    last_event_at: datetime
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


_states = msgspec.json.Decoder(_DeviceState)
_infos = msgspec.json.Decoder(_DeviceInfo)
_heartbeats = msgspec.json.Decoder(_Heartbeat)
_encoder = msgspec.json.Encoder()

_DOUBTS = (WireError, msgspec.MsgspecError, UnicodeError, RecursionError)
"""Everything by which the fast path gives up: depth bombs and broken UTF-8 have their own types in msgspec."""

Labels = Mapping[str, str]
S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


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
    if reports := _undoubted(_reports, [data]):
        return reports[0]
    state = wire.decode_device_state(data)
    return Report(state.phase, state.last_event_at, _token(state.owner.uid), state.owner.generation, state.last_error)


def check_heartbeat(data: bytes) -> None:
    """Raise the WireError that `wire.decode_heartbeat` would; the operator needs none of the fields."""
    if not _undoubted(_beats, [data]):
        wire.decode_heartbeat(data)


def decode_labels(data: bytes) -> Labels:
    """Decode a device-info payload, whose labels are needed; WireError as `wire.decode_device_info` raises it."""
    if labels := _undoubted(_labels, [data]):
        return labels[0]
    return wire.decode_device_info(data).labels


def decode_reports(values: Sequence[bytes]) -> list[Report]:
    """Decode each, as `decode_report` does, and raise its WireError."""
    return _each(_reports, decode_report, values)


def check_heartbeats(values: Sequence[bytes]) -> None:
    """Check each, as `check_heartbeat` does, and raise its WireError."""
    _each(_beats, check_heartbeat, values)


def decode_all_labels(values: Sequence[bytes]) -> list[Labels]:
    """Decode each, as `decode_labels` does, and raise its WireError."""
    return _each(_labels, decode_labels, values)


def _each(decode: Callable[[Sequence[bytes]], list[T]], one: Callable[[bytes], T], values: Sequence[bytes]) -> list[T]:
    """Decode all at once or, if one of them raises a doubt, each half by itself, down to that one."""
    found = _undoubted(decode, values)
    if found is not None:
        return found
    middle = len(values) // 2
    if not middle:
        return list(map(one, values))
    return _each(decode, one, values[:middle]) + _each(decode, one, values[middle:])


def _undoubted(decode: Callable[[Sequence[bytes]], list[T]], values: Sequence[bytes]) -> list[T] | None:
    """None if one of them raises a doubt, and nobody says which."""
    try:
        return decode(values)
    except _DOUBTS:
        return None


def _reports(values: Sequence[bytes]) -> list[Report]:
    states = _exactly(_states, values, wire.DEVICE_STATE_BYTES_MAX)
    containers = [state.container_ids for state in states]
    for name in set(chain.from_iterable(containers)):
        _service_name(name)
    _check_all(rules.TOKEN, chain.from_iterable(ids.values() for ids in containers))
    return [
        Report(state.phase, state.last_event_at, _token(state.owner.uid), state.owner.generation, state.last_error)
        for state in states
    ]


def _beats(values: Sequence[bytes]) -> list[None]:
    beats = _exactly(_heartbeats, values, wire.HEARTBEAT_BYTES_MAX)
    for version in {beat.agent_version for beat in beats}:
        _agent_version(version)
    _check_all(rules.TOKEN, (beat.instance_id for beat in beats))
    _check_all(rules.TOKEN, (beat.action_id for beat in beats if beat.action_id is not None))
    return [None for _ in beats]


def _labels(values: Sequence[bytes]) -> list[Labels]:
    infos = _exactly(_infos, values, wire.DEVICE_INFO_BYTES_MAX)
    for arch, os, version in {(info.arch, info.os, info.agent_version) for info in infos}:
        _token(arch)
        _os(os)
        _agent_version(version)
    _check_all(rules.TOKEN, (info.boot_id for info in infos))
    return [{_label_key(key): _label_value(value) for key, value in info.labels.items()} for info in infos]


def _check_all(rule: TextRule, texts: Iterable[str]) -> None:
    """Raise WireError if one of them is not what the rule says, or has more lines than one."""
    all_texts = list(texts)
    joined = "\n".join([*all_texts, ""])
    if (
        max(map(len, all_texts), default=0) > rule.len_max
        or joined.count("\n") != len(all_texts)
        or not _lines_of(rule.pattern).fullmatch(joined)
    ):
        raise WireError(f"not {rule.what}")


@cache
def _lines_of(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Matches lines of which each matches; a line that did is not looked at again."""
    return re.compile(rf"(?:(?:{pattern.pattern})\n)*+")


def _exactly(decoder: msgspec.json.Decoder[S], values: Sequence[bytes], size_bytes_max: int) -> list[S]:
    """Decode bytes that say what the structs hold and nothing else; one of `_DOUBTS` otherwise."""
    if max(map(len, values), default=0) > size_bytes_max:
        raise WireError("too long")
    # An encoded struct has no line break in it: if these are the same bytes, each line is one of the values.
    joined = b"\n".join([*values, b""])
    structs = decoder.decode_lines(joined)
    if len(structs) != len(values) or _encoder.encode_lines(structs) != joined:
        raise WireError("not in the canonical form")
    return structs


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

    def decode_all(self, values: Sequence[bytes]) -> list[wire.DesiredState]:
        """Decode each, as `decode` does, and raise its WireError; it does not count as a use of those remembered."""
        found = list(map(self._known.get, values))
        return [known or self.decode(value) for known, value in zip(found, values, strict=True)]

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
