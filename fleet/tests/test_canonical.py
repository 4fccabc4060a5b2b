"""Canonical JSON and exact times: one value has one encoding, and a stranger's bytes cannot hurt."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.canonical import INT_MAX, INT_MIN, Json, dumps, excerpt, format_time, loads, parse_time
from fleet.errors import WireError
from fleet.tests.strategies import json_values, times

SIZE_BYTES_MAX = 1_000_000


def load(data: bytes) -> Json:
    return loads(data, size_bytes_max=SIZE_BYTES_MAX)


@given(json_values)
def test_round_trip(value: Json) -> None:
    """What is dumped is loaded as an equal value, and dumped again as the same bytes."""
    data = dumps(value)
    assert load(data) == value
    assert dumps(load(data)) == data


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 9), min_size=2), st.randoms())
def test_key_order_is_irrelevant(value: dict[str, int], random: Random) -> None:
    """The order in which keys were inserted does not show in the bytes."""
    names = list(value)
    random.shuffle(names)
    assert dumps({name: value[name] for name in names}) == dumps(value)


def test_form() -> None:
    """Keys are sorted, there are no spaces, and text is UTF-8 rather than escapes."""
    assert dumps({"ü": "☕", "b": [1, True, None, 1.5], "a": {}}) == '{"a":{},"b":[1,true,null,1.5],"ü":"☕"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), ["\ud800"], {"\udfff": 1}])
def test_dumps_refuses(value: Json) -> None:
    """NaN, Infinity and lone surrogates have no encoding."""
    with pytest.raises(WireError):
        dumps(value)


def test_dumps_refuses_a_cycle() -> None:
    """A value that contains itself is refused, not followed."""
    cycle: list[Json] = []
    cycle.append(cycle)
    with pytest.raises(WireError):
        dumps(cycle)


@given(st.binary(max_size=200) | st.text('[]{}",:\\u0d8tfn-1eE. ', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_a_wire_error(data: bytes) -> None:
    """No bytes raise anything but WireError, and what is loaded can be dumped."""
    try:
        value = load(data)
    except WireError as error:
        message = str(error)
    else:
        message = dumps(value).decode()
    assert message
    assert "\n" not in message


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_bracket_bombs(opening: bytes) -> None:
    """A hundred thousand brackets are refused for their depth."""
    with pytest.raises(WireError, match="at most 32 levels of nesting"):
        load(opening * 100_000)


def test_depth_limit_is_exact() -> None:
    """As many levels as allowed are read, one more is refused; brackets within text do not count."""
    assert loads(b"[[[]]]", size_bytes_max=99, depth_max=3) == [[[]]]
    assert loads(b'["[[[[[["]', size_bytes_max=99, depth_max=1) == ["[[[[[["]
    assert loads(b"[[],[],{}]", size_bytes_max=99, depth_max=2) == [[], [], {}]
    with pytest.raises(WireError, match="at most 3 levels"):
        loads(b'[[{"a":[]}]]', size_bytes_max=99, depth_max=3)


def test_size_limit_is_exact() -> None:
    """The limit itself is allowed; a byte more is refused without looking at the content."""
    assert loads(b'"ab"', size_bytes_max=4) == "ab"
    with pytest.raises(WireError, match="at most 4 bytes, got 5"):
        loads(b"\xff" * 5, size_bytes_max=4)


@pytest.mark.parametrize("number", [INT_MIN, INT_MAX, 0])
def test_integers_of_64_bits(number: int) -> None:
    """The smallest and the largest 64-bit integers are read; their neighbours are refused."""
    assert load(str(number).encode()) == number
    for beyond in (str(INT_MIN - 1), str(INT_MAX + 1), "9" * 100_000):
        with pytest.raises(WireError, match="beyond 64 bits"):
            load(beyond.encode())


@given(times)
def test_times_round_trip(time: datetime) -> None:
    """A time is read back equal, from 27 characters."""
    text = format_time(time)
    assert len(text) == 27
    assert parse_time(text) == time
    assert format_time(parse_time(text)) == text


def test_time_of_another_zone() -> None:
    """A time of another zone is written in UTC."""
    zone = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 1, 1, 1, 30, tzinfo=zone)) == "2025-12-31T23:30:00.000000Z"


def test_times_refused() -> None:
    """A naive time is ambiguous, and a time beyond year 9999 in UTC has no form: both are refused."""
    with pytest.raises(WireError, match="without a zone"):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001 - a naive time is the point
    with pytest.raises(WireError, match="beyond year 9999"):
        format_time(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"))
def test_a_time_has_one_form(text: str) -> None:
    """Whatever parses is what would have been written."""
    try:
        time = parse_time(text)
    except WireError:
        return
    assert time.tzinfo is UTC
    assert format_time(time) == text


def test_excerpts_are_short_and_printable() -> None:
    """A stranger's text cannot break a log line or fill it."""
    assert excerpt("a\nb\x1b[31m\ud800") == r"'a\nb\x1b[31m\ud800'"
    assert excerpt("x" * 5000) == f"'{'x' * 60}'... (5000 characters)"
