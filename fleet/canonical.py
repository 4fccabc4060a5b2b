"""Canonical JSON, exact times and a typed cursor: the layer between bytes and `fleet.wire`.

Writes are skipped when bytes are equal and fenced when they are not, so one value must have exactly one
encoding. What comes in was written by a stranger: every limit is checked, and each refusal says where.
Pure standard library: the agent uses it too.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError:
        pass  # the form is right, the date is not: 30 February
    raise WireError(f"expected a time like 2026-01-31T12:00:00.000000Z, got {excerpt(text)}")


def excerpt(text: str) -> str:
    """Quote a stranger's text for one line of a log: escaped and short."""
    quoted = ascii(text[:_EXCERPT_LEN])
    return quoted if len(text) <= _EXCERPT_LEN else f"{quoted}... ({len(text)} characters)"


@dataclass(frozen=True, slots=True)
class TextRule:
    """What a text may be. Lengths are in characters (code points), as in a Kubernetes schema."""

    what: str
    pattern: re.Pattern[str]
    len_max: int

    def check(self, text: str, where: str = "") -> str:
        if len(text) <= self.len_max and self.pattern.fullmatch(text):
            return text
        raise _error(where, f"expected {self.what} of at most {self.len_max} characters, got {excerpt(text)}")


class Fields:
    """A cursor over one JSON object: each field is taken by name and type; errors carry the path to it.

    A field that is absent or null is missing. `done()` refuses whatever nobody took, here and in the objects below.
    """

    __slots__ = ("_children", "_path", "_taken", "_values")

    def __init__(self, value: Json, path: str = "") -> None:
        if not isinstance(value, dict):
            raise _error(path, f"expected an object, got {_kind(value)}")
        self._values = value
        self._path = path
        self._taken: set[str] = set()
        self._children: list[Fields] = []

    def where(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str, rule: TextRule) -> str:
        return self._as_text(self._required(name), rule, self.where(name))

    def optional_text(self, name: str, rule: TextRule) -> str | None:
        value = self._optional(name)
        return None if value is None else self._as_text(value, rule, self.where(name))

    def integer(self, name: str, int_min: int, int_max: int) -> int:
        value = self._required(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _error(self.where(name), f"expected an integer, got {_kind(value)}")
        if not int_min <= value <= int_max:
            raise _error(self.where(name), f"expected {int_min} to {int_max}, got {value}")
        return value

    def boolean(self, name: str) -> bool:
        value = self._required(name)
        if not isinstance(value, bool):
            raise _error(self.where(name), f"expected true or false, got {_kind(value)}")
        return value

    def time(self, name: str) -> datetime:
        value = self._required(name)
        if not isinstance(value, str):
            raise _error(self.where(name), f"expected a time, got {_kind(value)}")
        try:
            return parse_time(value)
        except WireError as error:
            raise _error(self.where(name), str(error)) from None

    def object(self, name: str) -> "Fields":
        return self._child(self._required(name), self.where(name))

    def objects(self, name: str, count_max: int) -> list["Fields"]:
        """A list of objects; missing is empty."""
        return [self._child(item, f"{self.where(name)}[{i}]") for i, item in enumerate(self._items(name, count_max))]

    def texts(self, name: str, rule: TextRule, count_max: int) -> tuple[str, ...]:
        """A list of texts; missing is empty."""
        where = self.where(name)
        return tuple(self._as_text(v, rule, f"{where}[{i}]") for i, v in enumerate(self._items(name, count_max)))

    def text_map(self, name: str, keys: TextRule, values: TextRule, count_max: int) -> dict[str, str]:
        """An object of texts; missing is empty."""
        value, where = self._optional(name), self.where(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _error(where, f"expected an object, got {_kind(value)}")
        _check_count(len(value), count_max, where)
        return {keys.check(k, where): self._as_text(v, values, f"{where}[{excerpt(k)}]") for k, v in value.items()}

    def done(self) -> None:
        unknown = sorted(self._values.keys() - self._taken)
        if unknown:
            raise _error(self.where(excerpt(unknown[0])), "unknown field")
        for child in self._children:
            child.done()

    def _optional(self, name: str) -> Json:
        self._taken.add(name)
        return self._values.get(name)

    def _required(self, name: str) -> Json:
        value = self._optional(name)
        if value is None:
            raise _error(self.where(name), "missing")
        return value

    def _items(self, name: str, count_max: int) -> Sequence[Json]:
        value = self._optional(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise _error(self.where(name), f"expected a list, got {_kind(value)}")
        _check_count(len(value), count_max, self.where(name))
        return value

    def _child(self, value: Json, path: str) -> "Fields":
        child = Fields(value, path)
        self._children.append(child)
        return child

    @staticmethod
    def _as_text(value: Json, rule: TextRule, where: str) -> str:
        if not isinstance(value, str):
            raise _error(where, f"expected text, got {_kind(value)}")
        return rule.check(value, where)


def _check_count(count: int, count_max: int, where: str) -> None:
    if count > count_max:
        raise _error(where, f"at most {count_max} items, got {count}")


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {type(None): "null", int: "number", float: "number", str: "text", list: "a list", dict: "an object"}
    return kinds[type(value)]


def _error(where: str, what: str) -> WireError:
    return WireError(f"{where}: {what}" if where else what)
