"""Texts, counts, numbers and sizes at their limit and one beyond it: fast decoders and `fleet.wire` agree."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from fleet import wire
from fleet.canonical import INT_MAX, Json, dumps
from fleet.errors import WireError
from fleet.operator import decoding
from fleet.operator.decoding import check_heartbeat, decode_labels, decode_report
from fleet.operator.tests.test_decoding import KINDS, UID, state_bytes, verdict

WIDE = "\N{BICYCLE}"


def beat_bytes(**fields: Json) -> bytes:
    return dumps({"agent_version": "1.4.2", "busy": False, "instance_id": "b1d2", "sequence": 42, **fields})


def info_bytes(**fields: Json) -> bytes:
    return dumps({"agent_version": "1.4.2", "arch": "aarch64", "boot_id": "0c9b", "os": "Debian", **fields})


def owner(**fields: Json) -> Json:
    return {"generation": 3, "uid": UID, **fields}


AT_THE_LIMIT = {
    "uid-128": (decode_report, state_bytes(owner=owner(uid="u" * 128))),
    "generation-1": (decode_report, state_bytes(owner=owner(generation=1))),
    "generation-max": (decode_report, state_bytes(owner=owner(generation=INT_MAX))),
    "error-4096-wide": (decode_report, state_bytes(last_error=WIDE * 4096)),
    "error-4096-escaped": (decode_report, state_bytes(last_error="\x00" * 4096)),
    "64-containers": (decode_report, state_bytes(container_ids={f"s{n}": "!" * 128 for n in range(64)})),
    "service-63": (decode_report, state_bytes(container_ids={"s" * 63: "~"})),
    "year-1": (decode_report, state_bytes(last_event_at="0001-01-01T00:00:00.000001Z")),
    "year-9999": (decode_report, state_bytes(last_event_at="9999-12-31T23:59:59.999999Z")),
    "sequence-0": (check_heartbeat, beat_bytes(sequence=0)),
    "sequence-max": (check_heartbeat, beat_bytes(sequence=INT_MAX)),
    "instance-128": (check_heartbeat, beat_bytes(instance_id="i" * 128)),
    "action-128": (check_heartbeat, beat_bytes(action_id="a" * 128)),
    "version-64": (check_heartbeat, beat_bytes(agent_version="1" * 64)),
    "64-labels": (decode_labels, info_bytes(labels={f"k{n}": "v" * 63 for n in range(64)})),
    "os-128-wide": (decode_labels, info_bytes(os=WIDE * 128)),
}
BEYOND = {
    "uid-129": (decode_report, state_bytes(owner=owner(uid="u" * 129))),
    "uid-empty": (decode_report, state_bytes(owner=owner(uid=""))),
    "uid-with-space": (decode_report, state_bytes(owner=owner(uid="a b"))),
    "uid-not-ascii": (decode_report, state_bytes(owner=owner(uid="ü"))),
    "generation-0": (decode_report, state_bytes(owner=owner(generation=0))),
    "generation-true": (decode_report, state_bytes(owner=owner(generation=True))),
    "generation-1.0": (decode_report, state_bytes(owner=owner(generation=1.0))),
    "generation-2-to-the-63": (decode_report, state_bytes(owner=owner(generation=INT_MAX + 1))),
    "error-4097": (decode_report, state_bytes(last_error="e" * 4097)),
    "65-containers": (decode_report, state_bytes(container_ids={f"s{n}": "c" for n in range(65)})),
    "service-64": (decode_report, state_bytes(container_ids={"s" * 64: "c"})),
    "service-upper-case": (decode_report, state_bytes(container_ids={"S": "c"})),
    "container-id-129": (decode_report, state_bytes(container_ids={"s": "c" * 129})),
    "container-id-del": (decode_report, state_bytes(container_ids={"s": "c\x7f"})),
    "sequence-negative": (check_heartbeat, beat_bytes(sequence=-1)),
    "sequence-2-to-the-63": (check_heartbeat, beat_bytes(sequence=INT_MAX + 1)),
    "instance-129": (check_heartbeat, beat_bytes(instance_id="i" * 129)),
    "action-empty": (check_heartbeat, beat_bytes(action_id="")),
    "action-129": (check_heartbeat, beat_bytes(action_id="a" * 129)),
    "version-65": (check_heartbeat, beat_bytes(agent_version="1" * 65)),
    "65-labels": (decode_labels, info_bytes(labels={f"k{n}": "v" for n in range(65)})),
    "label-value": (decode_labels, info_bytes(labels={"k": "-"})),
    "label-key": (decode_labels, info_bytes(labels={"-": "v"})),
    "os-two-lines": (decode_labels, info_bytes(os="a\nb")),
    "boot-id-129": (decode_labels, info_bytes(boot_id="b" * 129)),
    "arch-empty": (decode_labels, info_bytes(arch="")),
}
FAST = {kind.ours: kind.fast for kind in KINDS.values()}
THEIRS = {kind.ours: kind.theirs for kind in KINDS.values()}


@pytest.mark.parametrize(("decode", "data"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_at_the_limit(decode: Callable[[bytes], object], data: bytes) -> None:
    """A value at its limit is accepted, and by the fast path."""
    fast = FAST[decode]
    assert fast is not None
    assert fast([data]) == [THEIRS[decode](data)] == [decode(data)]


@pytest.mark.parametrize(("decode", "data"), BEYOND.values(), ids=BEYOND)
def test_beyond_the_limit(decode: Callable[[bytes], object], data: bytes) -> None:
    """A value beyond its limit is refused in the words of `fleet.wire`."""
    refusal = verdict(decode, data)
    assert str(refusal).startswith("refused: ")
    assert refusal == verdict(THEIRS[decode], data)


@pytest.mark.parametrize(
    ("parser", "decode", "size_bytes_max"),
    [
        ("_states", decode_report, wire.DEVICE_STATE_BYTES_MAX),
        ("_heartbeats", check_heartbeat, wire.HEARTBEAT_BYTES_MAX),
        ("_infos", decode_labels, wire.DEVICE_INFO_BYTES_MAX),
    ],
)
def test_size_is_judged_before_parsing(
    monkeypatch: pytest.MonkeyPatch, parser: str, decode: Callable[[bytes], object], size_bytes_max: int
) -> None:
    """A payload that is too long is refused without a look at it; one of just that length is parsed."""
    spy = Mock(wraps=getattr(decoding, parser))
    monkeypatch.setattr(decoding, parser, spy)
    with pytest.raises(WireError, match=f"at most {size_bytes_max} bytes, got {size_bytes_max + 1}"):
        decode(b"x" * (size_bytes_max + 1))
    spy.decode_lines.assert_not_called()
    with pytest.raises(WireError, match=r"^not JSON"):
        decode(b"x" * size_bytes_max)
    spy.decode_lines.assert_called_once()
