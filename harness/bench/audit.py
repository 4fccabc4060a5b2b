"""What the API server answered in one namespace since a mark, from its audit log: counts nobody has to be trusted for.

The server writes the line before its answer ends, so whoever has the answer finds the line.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from harness.errors import ServiceError

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_FIRST_ERROR = 400


class _Object(msgspec.Struct):
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Event(msgspec.Struct, rename="camel"):
    verb: str
    request_received_timestamp: datetime
    user_agent: str = ""
    object_ref: _Object = msgspec.field(default_factory=_Object)
    response_status: _Status = msgspec.field(default_factory=_Status)


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Answered:
    """One request. `at_s` is when the server received it, as Unix time."""

    at_s: float
    verb: str
    resource: str
    subresource: str
    name: str
    user_agent: str
    code: int

    @property
    def is_write(self) -> bool:
        """Whether it asked for a write, granted or refused."""
        return self.verb in _WRITES

    @property
    def patched_status(self) -> bool:
        """Whether it stored a Deployment's status."""
        return (
            self.verb == "patch"
            and self.code < _FIRST_ERROR
            and (self.resource, self.subresource) == ("deployments", "status")
        )


def answered_since(path: Path, offset: int, namespace: str) -> list[Answered]:
    """In the order of the log, complete lines only. Raises ServiceError for a line that is no event."""
    with path.open("rb") as log:
        log.seek(offset)
        data = log.read()
    found: list[Answered] = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            event = _decoder.decode(line)
        except msgspec.MsgspecError as e:
            raise ServiceError(f"{path}: after byte {offset}: not an audit event: {e}") from e
        seen = event.object_ref
        if seen.namespace == namespace:
            found.append(
                Answered(
                    at_s=event.request_received_timestamp.timestamp(),
                    verb=event.verb,
                    resource=seen.resource,
                    subresource=seen.subresource,
                    name=seen.name,
                    user_agent=event.user_agent,
                    code=event.response_status.code,
                )
            )
    return found
