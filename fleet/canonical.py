"""Canonical JSON and exact times: the layer between bytes and `fleet.wire`.

Writes are skipped when bytes are equal and fenced when they are not, so one value must have exactly one
encoding. What comes in was written by a stranger: every limit is checked, and each refusal says where.
Pure standard library: the agent uses it too.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn, TypeAlias

from fleet.errors import WireError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can hold. `loads` gives dicts and lists; `dumps` takes any mapping that is a dict, any list or tuple."""

DEPTH_MAX = 32
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_INT_DIGITS_MAX = 20
_EXCERPT_LEN = 60
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def dumps(value: Json) -> bytes:
    """Encode as canonical JSON: keys sorted by code point, no spaces, UTF-8.

    Raises:
        WireError: NaN or Infinity, a lone surrogate, a cycle or nesting beyond the interpreter's stack.
    """
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise WireError("lone surrogate: text must be valid Unicode") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"not encodable as JSON: {error}") from None


def loads(data: bytes, *, size_bytes_max: int, depth_max: int = DEPTH_MAX) -> Json:
    """Decode JSON from a stranger; integers must fit 64 signed bits, numbers must be finite, keys unique.

    Raises:
        WireError: anything else, `size_bytes_max` exceeded (judged before parsing), or more than `depth_max` levels.
    """
    if len(data) > size_bytes_max:
        raise WireError(f"at most {size_bytes_max} bytes, got {len(data)}")
    try:
        text = data.decode()
        value: Json = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise WireError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise WireError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise WireError(f"at most {depth_max} levels of nesting") from None
    if text.count("[") + text.count("{") > depth_max:
        _check_depth(value, depth_max)
    if "\\u" in text:
        dumps(value)  # UTF-8 carries no surrogate; only an escape can, and only a lone one fails here
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise WireError(f"duplicate key {excerpt(twice)}")
    return value


def _int(text: str) -> int:
    # Length first: int() of thousands of digits is slow, and Python itself refuses beyond 4300.
    if len(text) > _INT_DIGITS_MAX or not INT_MIN <= (value := int(text)) <= INT_MAX:
        raise WireError(f"number beyond 64 bits: {excerpt(text)}")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise WireError(f"number beyond a double: {excerpt(text)}")
    return value


def _constant(text: str) -> NoReturn:
    raise WireError(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant)


def _check_depth(value: Json, depth_max: int) -> None:
    level = [value]  # by breadth: recursion is what the limit protects from
    for _ in range(depth_max):
        children = (child for parent in level for child in _children(parent))
        level = [child for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise WireError(f"at most {depth_max} levels of nesting")


def _children(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC, always with six fractional digits and `Z`; WireError for a naive time."""
    if time.tzinfo is None:
        raise WireError(f"time without a zone: {time.isoformat()}")
    try:
        return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        raise WireError(f"time beyond year 9999: {time.isoformat()}") from None


def parse_time(text: str) -> datetime:
    """Read exactly what `format_time` writes, as an aware UTC time; WireError for any other form."""
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass  # the form is right, the date is not: 30 February
    raise WireError(f"expected a time like 2026-01-31T12:00:00.000000Z, got {excerpt(text)}")


def excerpt(text: str) -> str:
    """Quote a stranger's text for one line of a log: escaped and short."""
    quoted = ascii(text[:_EXCERPT_LEN])
    return quoted if len(text) <= _EXCERPT_LEN else f"{quoted}... ({len(text)} characters)"
