"""The payloads and keys of the contract, as properties."""

import dataclasses
import json
import operator
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import rules, wire
from fleet.canonical import INT_MAX, Json, dumps, loads
from fleet.errors import WireError
from fleet.tests import strategies as some
from fleet.tests.strategies import DECODERS, Payload

OWNER = wire.Owner("6f1c2a44", 3)
SERVICE = wire.Service("web", "registry.example/web:1")
TIME = datetime(2026, 11, 21, tzinfo=UTC)


def refusal(decode: Callable[[bytes], object], data: bytes) -> str:
    """Return why these bytes are refused, or nothing if they are not."""
    try:
        decode(data)
    except WireError as error:
        return str(error) or "no reason"
    return ""


@given(some.payloads)
def test_payloads_round_trip(payload: Payload) -> None:
    """Every payload is read back equal, and its bytes are canonical."""
    data = payload.encode()
    assert DECODERS[type(payload)](data) == payload
    assert dumps(loads(data, size_bytes_max=len(data))) == data


@given(some.payloads)
def test_one_encoding_per_value(payload: Payload) -> None:
    """Spaces, key order and escapes of a sender do not show in what we would write."""
    data = payload.encode()
    value = json.loads(data)
    reordered = json.dumps(dict(reversed(value.items())), indent=1).encode()
    assert DECODERS[type(payload)](reordered).encode() == data


@given(st.sampled_from(list(DECODERS.values())), st.binary(max_size=300) | some.json_values.map(dumps))
def test_any_bytes_give_a_payload_or_a_wire_error(decode: some.Decoder, data: bytes) -> None:
    """Bytes of a stranger never raise anything but WireError, with one line that says why."""
    assert "\n" not in refusal(decode, data)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[some.Decoder, bytes]:
    """Draw the bytes of a payload with one value somewhere in it replaced by any other."""
    payload = draw(some.payloads)
    value = json.loads(payload.encode())
    parent = value
    while True:
        name = draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        child = parent[name]
        if not isinstance(child, (dict, list)) or not child or draw(st.booleans()):
            break
        parent = child
    parent[name] = draw(some.json_values)
    return DECODERS[type(payload)], dumps(value)


@given(mutated())
def test_one_wrong_value_is_refused_or_carried(case: tuple[some.Decoder, bytes]) -> None:
    """A payload with one value replaced is refused, or decodes to something that encodes again."""
    decode, data = case
    if message := refusal(decode, data):
        assert "\n" not in message
    else:
        assert decode(decode(data).encode()) == decode(data)


@given(some.payloads, st.text("xyz", min_size=1, max_size=3), some.json_values.filter(lambda value: value is not None))
def test_unknown_fields(payload: Payload, name: str, extra: Json) -> None:
    """desired-state, which is executed, refuses a field it does not know; the reports ignore it."""
    value = json.loads(payload.encode())
    data = dumps({**value, name: extra})
    if isinstance(payload, wire.DesiredState):
        with pytest.raises(WireError, match=f"'{name}': unknown field"):
            wire.decode_desired_state(data)
    else:
        assert DECODERS[type(payload)](data) == payload


@given(some.pairs)
def test_keys_round_trip(pair: wire.Pair) -> None:
    """Every pair is read back from its keys and its subject, dots in the device id included."""
    assert wire.parse_desired_key(wire.desired_key(pair)) == pair
    assert wire.parse_state_key(wire.state_key(pair)) == pair
    assert wire.parse_desired_subject(wire.desired_subject(pair)) == pair
    assert wire.parse_info_key(wire.info_key(pair.device)) == pair.device
    assert wire.parse_heartbeat_key(wire.heartbeat_key(pair.device)) == pair.device


@given(some.pairs, some.pairs)
def test_keys_differ_for_different_pairs(one: wire.Pair, other: wire.Pair) -> None:
    """No two pairs share a key."""
    assert (wire.desired_key(one) == wire.desired_key(other)) == (one == other)
    assert (wire.state_key(one) == wire.state_key(other)) == (one == other)


@given(some.pairs, some.device_ids)
def test_filter_matches_the_device_alone(pair: wire.Pair, device: wire.DeviceId) -> None:
    """A device's filter matches the subjects of its own deployments and of no other device, by NATS's rules."""
    wanted = wire.desired_filter(device).split(".")
    subject = wire.desired_subject(pair).split(".")
    matches = len(wanted) == len(subject) and all(w in ("*", s) for w, s in zip(wanted, subject, strict=True))
    assert matches == (pair.device == device)


def test_keys_split_from_the_right() -> None:
    """The last dot is the border, whatever the device id looks like."""
    pair = wire.parse_state_key("state.state.x.y")
    assert pair == wire.Pair(wire.device_id("state.x"), wire.deployment_name("y"))
    assert wire.state_key(pair) == "state.state.x.y"
    assert wire.desired_filter(pair.device) == "fleet.desired.state.x.*"


@given(st.text(max_size=30) | st.text("ab.-*>", max_size=12).map("state.".__add__))
def test_any_key_gives_a_name_or_a_wire_error(key: str) -> None:
    """A key is refused with WireError or is exactly what its name would make."""
    for parse, build in (
        (wire.parse_desired_key, wire.desired_key),
        (wire.parse_state_key, wire.state_key),
        (wire.parse_desired_subject, wire.desired_subject),
    ):
        try:
            again = build(parse(key))
        except WireError:
            continue
        assert again == key


MALFORMED = ["", ".", "a", "a.", ".a", "a..b", "A.b", "a.B", "a b.c", "a.b\n", "-a.b", "a-.b", "a.b-", "a.*", "a.>"]
MALFORMED += ["ä.b", "a_b.c", "a/b.c", f"{'a' * 254}.b", f"a.{'b' * 64}"]


@pytest.mark.parametrize("key", MALFORMED)
def test_malformed_keys(key: str) -> None:
    """Empty tokens, foreign characters, wildcards and excess length are refused in each kind of key."""
    with pytest.raises(WireError):
        wire.parse_desired_key(key)
    with pytest.raises(WireError):
        wire.parse_state_key(f"state.{key}")
    with pytest.raises(WireError):
        wire.parse_desired_subject(f"fleet.desired.{key}")


@pytest.mark.parametrize("key", ["", "info", "info.", "info..a", "info.A", "infoa", "heartbeat.", "state.a", "INFO.a"])
def test_malformed_device_keys(key: str) -> None:
    """A key of one device needs its prefix and a valid id."""
    with pytest.raises(WireError):
        wire.parse_info_key(key)
    with pytest.raises(WireError):
        wire.parse_heartbeat_key(key)


def test_pairs_sort() -> None:
    """Pairs order by device, then deployment, so that sweeps and logs are stable."""
    pairs = [wire.parse_desired_key(key) for key in ("b.a", "a.c", "a.b")]
    assert [wire.desired_key(pair) for pair in sorted(pairs)] == ["a.b", "a.c", "b.a"]


def test_streams() -> None:
    """A bucket's stream and subjects are named as NATS clients name them."""
    assert [wire.stream_name(bucket) for bucket in wire.Bucket] == [
        "KV_desired-state",
        "KV_device-info",
        "KV_device-state",
        "KV_device-heartbeat",
    ]
    assert wire.kv_subject(wire.Bucket.DEVICE_INFO, "info.a") == "$KV.device-info.info.a"


INVALID: list[Payload] = [
    wire.DesiredState(OWNER, wire.Score(())),
    wire.DesiredState(OWNER, wire.Score((SERVICE, SERVICE))),
    wire.DesiredState(OWNER, wire.Score((dataclasses.replace(SERVICE, image="a b"),))),
    wire.DesiredState(OWNER, wire.Score((SERVICE,), wire.Lifecycle(grace_period_secs=-1))),
    wire.DesiredState(OWNER, wire.Score((dataclasses.replace(SERVICE, resources=wire.Resources(cpu_millis=0)),))),
    wire.DesiredState(OWNER, wire.Score((dataclasses.replace(SERVICE, health_check=wire.HealthCheck(())),))),
    wire.DesiredState(dataclasses.replace(OWNER, generation=0), wire.Score((SERVICE,))),
    wire.DeviceState(wire.Phase.FAILED, TIME.replace(tzinfo=None), OWNER),
    wire.DeviceState(wire.Phase.FAILED, TIME, OWNER, last_error="\ud800"),
    wire.DeviceInfo("x86_64", "linux", "1", {"-": "x"}, "b"),
    wire.Heartbeat("1", "i", -1, busy=False),
]


@pytest.mark.parametrize("payload", INVALID, ids=range(len(INVALID)))
def test_what_a_peer_would_refuse_is_not_encoded(payload: Payload) -> None:
    """A payload that the contract refuses raises at the sender, not at the receiver."""
    with pytest.raises(WireError):
        payload.encode()


def test_mappings_are_frozen() -> None:
    """A payload's maps are copies that nobody can change."""
    given_ids = {"web": "c0ffee"}
    state = wire.DeviceState(wire.Phase.RUNNING, TIME, OWNER, given_ids)
    given_ids["web"] = "other"
    assert state.container_ids == {"web": "c0ffee"}
    with pytest.raises(TypeError):
        operator.setitem(state.container_ids, "web", "other")  # type: ignore[call-overload]  # refused at run time too


def test_fields_that_joined_later_leave_older_bytes_alone() -> None:
    """A service without them is written as it was before they existed, so that no stored key is written again."""
    stored = (
        b'{"owner":{"generation":3,"uid":"6f1c2a44"},"score":{"lifecycle":{"grace_period_secs":30,'
        b'"stop_signal":"SIGTERM"},"services":[{"image":"registry.example/web:1","name":"web"}]}}'
    )
    assert wire.DesiredState(OWNER, wire.Score((SERVICE,))).encode() == stored
    explicit = dataclasses.replace(
        SERVICE, resources=wire.Resources(), image_pull_policy=wire.PullPolicy.IF_NOT_PRESENT, health_check=None
    )
    assert wire.DesiredState(OWNER, wire.Score((explicit,))).encode() == stored


def test_the_largest_score_fits() -> None:
    """A score at every limit at once fits into a desired state, so that admission can promise that it is carried."""
    wide = "\N{BICYCLE}"
    fixed = 1 + 4 * rules.ENV_MAX + 4 * rules.VOLUMES_MAX + 2 * rules.COMMAND_MAX
    spare = rules.SCORE_CHARACTERS_MAX // rules.SERVICES_MAX - fixed
    services = tuple(
        wire.Service(
            name=f"{index:02}".ljust(63, "s"),
            image="a",
            command=(*[wide] * (rules.COMMAND_MAX - 1), wide * (1 + spare)),
            env=tuple(wire.EnvVar(f"A{n:02}", wide) for n in range(rules.ENV_MAX)),
            ports=(wire.Port(65535, 10000 + index),),
            volumes=tuple(wire.Volume("a", f"/{n:02}") for n in range(rules.VOLUMES_MAX)),
            resources=wire.Resources(rules.CPU_MILLIS_MAX, rules.MEMORY_BYTES_MAX),
            image_pull_policy=wire.PullPolicy.ALWAYS,
            health_check=wire.HealthCheck((wide,) * rules.COMMAND_MAX, 3600, 600, 100),
        )
        for index in range(rules.SERVICES_MAX)
    )
    desired = wire.DesiredState(
        wire.Owner("u" * 128, INT_MAX), wire.Score(services, wire.Lifecycle("SIGRTMIN+3", rules.GRACE_PERIOD_SECS_MAX))
    )
    assert 330_000 < len(desired.encode()) <= wire.DESIRED_STATE_BYTES_MAX
    one_more = dataclasses.replace(services[0], image="aa")
    with pytest.raises(WireError, match="at most 65536 characters of text, got 65537"):
        wire.DesiredState(OWNER, wire.Score((one_more, *services[1:]))).encode()
