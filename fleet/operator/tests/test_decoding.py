"""The operator's fast decoders and `fleet.wire`, held side by side: the same values, the same refusals."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import rules, wire
from fleet.canonical import INT_MAX, Json, dumps
from fleet.errors import WireError
from fleet.operator import decoding
from fleet.operator.decoding import DesiredDecoder, Labels, Report, check_heartbeat, decode_labels, decode_report
from fleet.operator.tests.samples import report, report_bytes
from fleet.tests import strategies as some
from fleet.tests.strategies import Payload
from fleet.tests.test_wire_corpus import BAD, GOOD

UID = "6f1c2a44-0b6e-4a52-9d0e-8a3f0d6c1f11"


def wire_report(data: bytes) -> Report:
    state = wire.decode_device_state(data)
    return Report(state.phase, state.last_event_at, state.owner.uid, state.owner.generation, state.last_error)


def wire_heartbeat(data: bytes) -> None:
    wire.decode_heartbeat(data)


def wire_labels(data: bytes) -> Labels:
    return wire.decode_device_info(data).labels


def fresh_desired(data: bytes) -> wire.DesiredState:
    return DesiredDecoder().decode(data)


def verdict(decode: Callable[[bytes], object], data: bytes) -> object:
    """Return the value that these bytes decode to, or the line that refuses them."""
    try:
        return decode(data)
    except WireError as error:
        return f"refused: {error}"


def nothing_of_beats(values: Sequence[bytes]) -> list[None]:
    """The operator keeps nothing of them."""
    return [None for _ in decoding._beats(values)]


@dataclass(frozen=True)
class Kind:
    """One payload: what the operator decodes it with, what the contract's own decoder says, and the part between."""

    ours: Callable[[bytes], object]
    theirs: Callable[[bytes], object]
    fast: Callable[[Sequence[bytes]], Sequence[object]] | None = None

    def agree(self, data: bytes) -> None:
        assert verdict(self.ours, data) == verdict(self.theirs, data)


KINDS: dict[type[Payload], Kind] = {
    wire.DeviceState: Kind(decode_report, wire_report, decoding._reports),
    wire.Heartbeat: Kind(check_heartbeat, wire_heartbeat, nothing_of_beats),
    wire.DeviceInfo: Kind(decode_labels, wire_labels, decoding._labels),
    wire.DesiredState: Kind(fresh_desired, wire.decode_desired_state),
}
BY_BUCKET: dict[str, Kind] = {
    wire.Bucket.DEVICE_STATE: KINDS[wire.DeviceState],
    wire.Bucket.DEVICE_HEARTBEAT: KINDS[wire.Heartbeat],
    wire.Bucket.DEVICE_INFO: KINDS[wire.DeviceInfo],
    wire.Bucket.DESIRED_STATE: KINDS[wire.DesiredState],
}
reports = st.one_of(some.device_states, some.heartbeats, some.device_infos)


@given(some.payloads)
def test_canonical_payloads(payload: Payload) -> None:
    """What an agent of this project writes decodes to the same value, and the fast path alone is enough for it.

    But for events at a whole second.
    """
    kind, data = KINDS[type(payload)], payload.encode()
    kind.agree(data)
    whole_second = isinstance(payload, wire.DeviceState) and not payload.last_event_at.microsecond
    if kind.fast is not None and not whole_second:
        assert kind.fast([data]) == [kind.theirs(data)]


@pytest.mark.parametrize("path", [*GOOD, *BAD], ids=lambda path: f"{path.parts[-3]}-{path.parent.name}/{path.stem}")
def test_corpus(path: Path) -> None:
    """Every file of the shared corpus is accepted or refused as `fleet.wire` does it, in the same words."""
    BY_BUCKET[path.parent.name].agree(path.read_bytes().removesuffix(b"\n"))


NUMBERS = ["-0", "0", "1.0", "1e5", "1E0", "-1", "01", str(INT_MAX), str(INT_MAX + 1), "9" * 400, "1e999", "NaN"]
TEXTS = [
    '"\\ud800"',
    '"\\ud83d\\udeb2"',
    '"\\u0000"',
    '"\\/"',
    '"\x7f"',
    '""',
    '" "',
    '"a\\nb"',
    '"\\u00e9"',
    '"é"',
    '"a',
]
VALUES = [*NUMBERS, *TEXTS, "null", "true", "[]", "{}", '{"a":"b"}', '{"a":1,"a":1}', "[" * 40 + "]" * 40]


@st.composite
def spellings(draw: st.DrawFn, value: Json, *, wild: bool) -> str:
    """Write a value as some sender might: odd values, fields twice or unknown; if `wild`, in any order and form."""
    space = st.sampled_from(["", "", "", " ", "\n\t", "\r"]) if wild else st.just("")
    if draw(st.integers(0, 24)) == 0:
        return draw(st.sampled_from(VALUES))
    if isinstance(value, dict):
        members = list(value.items())
        if wild:
            members = draw(st.permutations(members))
        if draw(st.integers(0, 9)) == 0:
            members += draw(st.lists(st.tuples(st.sampled_from([*value, "x", "a.b"]), some.json_scalars), max_size=2))
        inner = []
        for name, item in members:
            key, spelled = draw(spellings_of_text(name, wild=wild)), draw(spellings(item, wild=wild))
            inner.append(f"{draw(space)}{key}{draw(space)}:{draw(space)}{spelled}{draw(space)}")
        return "{" + ",".join(inner) + draw(space) + "}"
    if isinstance(value, str):
        return draw(spellings_of_text(value, wild=wild))
    return dumps(value).decode()


def spellings_of_text(text: str, *, wild: bool) -> st.SearchStrategy[str]:
    plain = json.dumps(text, ensure_ascii=False)
    if not wild:
        return st.just(plain)
    units = text.encode("utf-16-be").hex("x", -2).split("x") if text else []
    escaped = '"' + "".join(f"\\u{unit}" for unit in units) + '"'
    return st.sampled_from([plain, plain, plain, plain, json.dumps(text), escaped])


@given(st.data())
def test_other_spellings(data: st.DataObject) -> None:
    """Order, spaces, escapes, keys twice, unknown fields and odd values are judged alike."""
    payload = data.draw(reports)
    text = data.draw(spellings(json.loads(payload.encode()), wild=data.draw(st.booleans())))
    KINDS[type(payload)].agree(text.encode())


@st.composite
def edited(draw: st.DrawFn) -> tuple[Kind, bytes]:
    """Draw a payload whose bytes were flipped, cut, doubled or inserted at up to three places."""
    payload = draw(reports)
    data = bytearray(payload.encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        upto = min(len(data), at + draw(st.integers(0, 12)))
        match draw(st.sampled_from(["flip", "cut", "double", "insert"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at:upto]
            case "double":
                data[upto:upto] = data[at:upto]
            case _:
                alien = st.binary(min_size=1, max_size=3) | st.sampled_from([*VALUES, "\ufeff", ",", ":"]).map(
                    str.encode
                )
                data[at:at] = draw(alien)
    return KINDS[type(payload)], bytes(data)


@given(edited())
def test_edited_bytes(case: tuple[Kind, bytes]) -> None:
    """Bytes that were hurt on the way are judged alike."""
    kind, data = case
    kind.agree(data)


def told(decode: Callable[[Sequence[bytes]], Sequence[object]], values: Sequence[bytes]) -> Sequence[object] | None:
    """What the fast path says of all of them; None if it has a doubt."""
    try:
        return decode(values)
    except decoding._DOUBTS:
        return None


@given(st.lists(edited() | reports.map(lambda payload: (KINDS[type(payload)], payload.encode())), max_size=6))
def test_many_at_once(cases: list[tuple[Kind, bytes]]) -> None:
    """Each as by itself and in its order; one that is in doubt by itself puts all of them in doubt."""
    for kind in KINDS.values():
        if kind.fast is None:
            continue
        values = [data for of, data in cases if of is kind]
        alone = [told(kind.fast, [value]) for value in values]
        together = None if None in alone else [one for known in alone if known for one in known]
        assert told(kind.fast, values) == together


SAMPLE = report_bytes(report(seconds=0.25))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b'{"a":1},{"b":2}', b'{"c":"}', b'{"}'], id="cut at commas"),
        pytest.param([SAMPLE + b"\n" + SAMPLE], id="two lines alone"),
        pytest.param([SAMPLE + b"\n" + SAMPLE, b""], id="two lines in one"),
        pytest.param([b"", SAMPLE + b"\n" + SAMPLE], id="two lines in another one"),
        pytest.param([SAMPLE[:20] + b"\n" + SAMPLE[20:], SAMPLE], id="a line break within"),
        pytest.param([SAMPLE, SAMPLE[:20], SAMPLE[20:]], id="one in two"),
        pytest.param([b"", b""], id="empty"),
    ],
)
def test_borders_of_values_hold(values: list[bytes]) -> None:
    """Nobody's bytes are taken for another one's."""
    for decode in (decoding.decode_reports, decoding.decode_all_labels, decoding.check_heartbeats):
        with pytest.raises(WireError):
            decode(values)


def test_one_that_is_in_doubt_spoils_no_other() -> None:
    """A report of a whole second is in doubt: it is decoded all the same, in its place."""
    whole = report_bytes(report(seconds=1.0))
    assert decoding.decode_reports([SAMPLE, whole, SAMPLE]) == [decode_report(data) for data in (SAMPLE, whole, SAMPLE)]


@given(st.sampled_from(list(KINDS.values())), st.binary(max_size=200) | some.json_values.map(dumps))
def test_any_bytes(kind: Kind, data: bytes) -> None:
    """Bytes of a stranger are judged alike."""
    kind.agree(data)


def state_bytes(**fields: Json) -> bytes:
    known: dict[str, Json] = {
        "last_event_at": "2026-11-21T09:30:00.000001Z",
        "owner": {"generation": 3, "uid": UID},
        "phase": "Running",
    }
    return dumps({**known, **fields})


def test_a_newer_agent_is_read_the_slow_way() -> None:
    """A field that we do not know hides nothing of the report: only the fast path gives up on it."""
    data = state_bytes(restarts={"web": [1, 2]})
    with pytest.raises(WireError, match="canonical"):
        decoding._reports([data])
    assert decode_report(data) == decode_report(state_bytes())


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.ours.__name__)
def test_a_depth_bomb_in_an_unknown_field(kind: Kind) -> None:
    """Nesting that msgspec's own stack does not bear is refused like any other."""
    bomb = b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"
    kind.agree(bomb)
    assert "levels of nesting" in str(verdict(kind.ours, bomb))


@pytest.mark.parametrize("decode", [decode_report, check_heartbeat, decode_labels])
def test_a_refusal_has_one_cause(decode: Callable[[bytes], object]) -> None:
    """A traceback of a refusal shows the reason of `fleet.wire`, not also why the fast path gave up."""
    with pytest.raises(WireError) as refusal:
        decode(b"[]")
    assert refusal.value.__context__ is None


def test_uids_are_shared() -> None:
    """Reports of one Deployment hold one object as its uid, whichever way they were decoded."""
    one = decode_report(state_bytes())
    other = decode_report(state_bytes(phase="Failed", last_error="x"))
    slow = decode_report(b" " + state_bytes())
    assert one.uid is other.uid is slow.uid


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that never come back do not pile up."""
    monkeypatch.setattr(decoding, "_SHARED_MAX", 10)
    shared = decoding._shared(rules.TOKEN)
    first = shared(f"t{0}")
    assert shared(f"t{0}") is first
    for n in range(1, 11):
        shared(f"t{n}")
    assert shared(f"t{0}") is not first


def desired_bytes(uid: str) -> bytes:
    return wire.DesiredState(wire.Owner(uid, 1), wire.Score((wire.Service("web", "web:1"),))).encode()


def test_equal_desired_bytes_are_one_object() -> None:
    """Keys that hold the same bytes share one desired state; other bytes are another one."""
    decoder = DesiredDecoder()
    one = decoder.decode(desired_bytes("a"))
    assert decoder.decode(desired_bytes("a")) is one
    assert decoder.decode(desired_bytes("b")) == wire.decode_desired_state(desired_bytes("b"))


def test_remembered_desired_states_are_bounded() -> None:
    """Beyond the bound in bytes the one not used for longest is decoded anew, and what is in use stays."""
    size_bytes = len(desired_bytes("a"))
    decoder = DesiredDecoder(cache_bytes_max=2 * size_bytes)
    a, b = decoder.decode(desired_bytes("a")), decoder.decode(desired_bytes("b"))
    assert decoder.decode(desired_bytes("a")) is a
    decoder.decode(desired_bytes("c"))
    assert decoder.decode(desired_bytes("a")) is a
    again = decoder.decode(desired_bytes("b"))
    assert again == b
    assert again is not b


def test_a_payload_larger_than_the_cache() -> None:
    """A desired state that is larger than the whole cache decodes, and leaves nothing behind."""
    decoder = DesiredDecoder(cache_bytes_max=10)
    assert decoder.decode(desired_bytes("a")) == wire.decode_desired_state(desired_bytes("a"))
    assert not decoder._known
    assert decoder._cache_bytes == 0


def test_refusals_are_not_remembered() -> None:
    """A malformed desired state is refused each time, and takes no room."""
    decoder = DesiredDecoder()
    for _ in range(2):
        with pytest.raises(WireError, match="not JSON"):
            decoder.decode(b"{")
    assert not decoder._known
