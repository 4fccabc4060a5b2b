"""Between JSON and dataclasses: a typed cursor that reads an object field by field, and the walk that writes one.

Every refusal says where: `score.services[2].image: expected text, got number`. Pure standard library.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from fleet.canonical import Json, dumps, excerpt, format_time, parse_time
from fleet.errors import WireError

LEFT_OUT_BY_DEFAULT: Final = MappingProxyType({"left_out_by_default": True})
"""Metadata of a field that joined a payload later: with its default it is left out, so older bytes stay as they are."""


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
        return self._as_integer(self._required(name), int_min, int_max, self.where(name))

    def optional_integer(self, name: str, int_min: int, int_max: int) -> int | None:
        value = self._optional(name)
        return None if value is None else self._as_integer(value, int_min, int_max, self.where(name))

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

    def optional_object(self, name: str) -> "Fields | None":
        value = self._optional(name)
        return None if value is None else self._child(value, self.where(name))

    def objects(self, name: str, count_max: int) -> list["Fields"]:
        """A list of objects; missing is empty."""
        return [self._child(item, f"{self.where(name)}[{i}]") for i, item in enumerate(self._items(name, count_max))]

    def texts(self, name: str, rule: TextRule, count_max: int, *, count_min: int = 0) -> tuple[str, ...]:
        """A list of texts; missing is empty."""
        items, where = self._items(name, count_max), self.where(name)
        if len(items) < count_min:
            raise _error(where, f"at least {count_min} items, got {len(items)}")
        return tuple(self._as_text(v, rule, f"{where}[{i}]") for i, v in enumerate(items))

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

    @staticmethod
    def _as_integer(value: Json, int_min: int, int_max: int, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _error(where, f"expected an integer, got {_kind(value)}")
        if not int_min <= value <= int_max:
            raise _error(where, f"expected {int_min} to {int_max}, got {value}")
        return value


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


def to_json(value: object) -> Json:
    """Turn a payload into JSON: a field's name is its JSON name.

    A field that is None or empty is left out, and one marked `LEFT_OUT_BY_DEFAULT` that has its default.
    """
    match value:
        case None | str() | int():
            return value
        case datetime():
            return format_time(value)
        case tuple():
            return [to_json(item) for item in value]
        case Mapping():
            return dict(value)
    if not is_dataclass(value) or isinstance(value, type):
        raise WireError(f"not encodable: {value!a}")
    written: dict[str, Json] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if field.metadata == LEFT_OUT_BY_DEFAULT and item == field.default:
            continue
        encoded = to_json(item)
        if encoded is not None and encoded not in ([], {}):
            written[field.name] = encoded
    return written


def encode(payload: object, decode: Callable[[bytes], object]) -> bytes:
    """Return the canonical bytes of a payload; WireError unless `decode` reads an equal one back."""
    data = dumps(to_json(payload))
    if decode(data) != payload:
        raise WireError(f"{type(payload).__name__} holds a value that its bytes cannot carry")
    return data
