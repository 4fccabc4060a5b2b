"""Between JSON and dataclasses: a typed cursor that reads an object field by field, and the walk that writes one.

Every refusal says where: `score.services[2].image: expected text, got number`. Pure standard library.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime

from fleet.canonical import Json, excerpt, format_time, parse_time
from fleet.errors import WireError


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


def to_json(value: object) -> Json:
    """Turn a payload into JSON: a field's name is its JSON name; None and empty collections are left out."""
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
    named = ((f.name, getattr(value, f.name)) for f in fields(value))
    return {name: to_json(item) for name, item in named if item is not None and item not in ((), {})}
