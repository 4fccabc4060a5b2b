"""From the bytes of a page or of a watch to values: one pass over the bytes, and one bad object spoils nothing.

A whole page is decoded into the shapes of its objects at once. If that fails, one of them is not of the shape: then
each is taken by itself, and the bad one is handed on by name with what is wrong with it.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from fleet.crds import API_VERSION
from fleet.errors import PeerAway, WireError
from fleet.kube.pieces import boundary
from fleet.kube.unreadable import UNREADABLE

T = TypeVar("T")


class Metadata(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What is used of an object's metadata."""

    name: str
    uid: str
    resource_version: str
    generation: int = 1
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()


class Shape(Protocol):
    """An object as the API server writes it."""

    @property
    def metadata(self) -> Metadata: ...


S = TypeVar("S", bound=Shape)
P = TypeVar("P")


class Page(msgspec.Struct, Generic[P]):
    items: list[P]


class Event(msgspec.Struct, Generic[P]):
    type: str
    object: P


class Change(msgspec.Struct, Generic[T]):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK (which names no object)."""

    type: str
    name: str
    version: str
    item: T | WireError | None


class Decoder(Protocol[T]):
    """What an informer reads one kind of object with. `border` stands between two of them in a list."""

    @property
    def border(self) -> bytes: ...

    def items(self, body: bytes) -> list[tuple[str, T | WireError]]:
        """Name and value of each object that a page holds; raises PeerAway if it is none."""
        ...

    def change(self, line: bytes) -> Change[T]:
        """Return one event of a watch; raises PeerAway if it is none, or tells of an error."""
        ...


class _AnyMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Any(msgspec.Struct):
    metadata: _AnyMetadata
    code: int = 0
    message: str = ""


_raw_pages = msgspec.json.Decoder(Page[msgspec.Raw])
_raw_events = msgspec.json.Decoder(Event[msgspec.Raw])
_any = msgspec.json.Decoder(_Any)


class ObjectDecoder(Generic[S, T]):
    """Reads objects of one kind. `convert` turns a shape into a value, or raises WireError."""

    def __init__(
        self,
        kind: str,
        objects: msgspec.json.Decoder[S],
        pages: msgspec.json.Decoder[Page[S]],
        events: msgspec.json.Decoder[Event[S]],
        convert: Callable[[S], T],
    ) -> None:
        self.border = boundary(API_VERSION, kind)
        self._kind = kind
        self._objects = objects
        self._pages = pages
        self._events = events
        self._convert = convert

    def __call__(self, data: bytes | msgspec.Raw) -> T:
        """One object by itself. Raises WireError if it is not one that our schema would have admitted."""
        try:
            shape = self._objects.decode(data)
        except UNREADABLE as e:
            raise WireError(f"not a {self._kind}: {e}") from e
        return self._convert(shape)

    def items(self, body: bytes) -> list[tuple[str, T | WireError]]:
        """As in Decoder."""
        try:
            shapes = self._pages.decode(body).items
        except UNREADABLE:
            return self._one_by_one(body)
        return [(shape.metadata.name, self._converted(shape)) for shape in shapes]

    def change(self, line: bytes) -> Change[T]:
        """As in Decoder."""
        try:
            event = self._events.decode(line)
        except UNREADABLE:
            # Not of the shape: a bookmark, an error, a malformed object, or garbage.
            return self._other(line)
        shape = event.object
        if event.type not in {"ADDED", "MODIFIED", "DELETED"} or not shape.metadata.resource_version:
            return self._other(line)
        item = None if event.type == "DELETED" else self._converted(shape)
        return Change(event.type, shape.metadata.name, shape.metadata.resource_version, item)

    def _converted(self, shape: S) -> T | WireError:
        try:
            return self._convert(shape)
        except WireError as e:
            return e

    def _one_by_one(self, body: bytes) -> list[tuple[str, T | WireError]]:
        try:
            named = [(_any.decode(raw).metadata.name, raw) for raw in _raw_pages.decode(body).items]
        except UNREADABLE as e:
            raise PeerAway(f"the server sent garbage: {e}") from e
        return [(name, self._alone(raw)) for name, raw in named]

    def _alone(self, raw: msgspec.Raw) -> T | WireError:
        try:
            return self(raw)
        except WireError as e:
            return e

    def _other(self, line: bytes) -> Change[T]:
        try:
            event = _raw_events.decode(line)
            known = _any.decode(event.object)
        except UNREADABLE as e:
            raise PeerAway(f"the server sent garbage: {e}") from e
        if event.type not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            raise PeerAway(f"{event.type} {known.code} {known.message}")
        if not known.metadata.resource_version:
            raise PeerAway(f"the server sent garbage: {event.type} without a version")
        item = self._alone(event.object) if event.type in {"ADDED", "MODIFIED"} else None
        return Change(event.type, known.metadata.name, known.metadata.resource_version, item)
