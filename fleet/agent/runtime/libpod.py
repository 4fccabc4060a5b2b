"""podman's REST API, one level above HTTP: paths, queries and bodies in, JSON or a refusal out.

Podman 4.3, 5 and its next major version serve these paths below v4.0.0, with the answers of that version.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.runtime.unix_http import TIMEOUT_S, Answer, Stream, UnixHttp
from fleet.canonical import Json, dumps

OK, CREATED, NO_CONTENT, NOT_MODIFIED, NOT_FOUND = 200, 201, 204, 304, 404
_BASE = "/v4.0.0/libpod"
_REFUSAL_BYTES_MAX = 64 * 1024
_MESSAGE_CHARS_MAX = 1000


class Refusal(Exception):  # noqa: N818 - a definite answer, not yet an error: its meaning depends on the call
    """Podman answered that it did not do it; `str()` is its own message on one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Libpod:
    """Every call raises Refusal for a status that it does not name as expected, RuntimeAway without an answer."""

    def __init__(self, path: Path) -> None:
        self._http = UnixHttp(path)

    async def call(
        self,
        method: str,
        path: str,
        *expected: int,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Json] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        data = None if body is None else dumps(body)
        answer = await self._http.call(method, _target(path, query), body=data, timeout_s=timeout_s)
        if answer.status not in expected:
            raise _refusal(answer)
        return answer

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> object:
        """The JSON at this path."""
        return parsed(path, (await self.call("GET", path, OK, query=query)).body)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Json] | None = None,
    ) -> AsyncIterator[Stream]:
        """An answer with status 200 whose body is still coming."""
        data = None if body is None else dumps(body)
        async with self._http.stream(method, _target(path, query), body=data) as stream:
            if stream.status != OK:
                raise _refusal(Answer(stream.status, await stream.read(_REFUSAL_BYTES_MAX)))
            yield stream


def parsed(path: str, body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RuntimeAway(f"podman's answer at {path} is not JSON: {error}") from error
    return value


def filters(**values: str | list[str]) -> dict[str, str]:
    """The query for a filter; each of its keys must match, by one of its values."""
    lists: dict[str, Json] = {key: [value] if isinstance(value, str) else value for key, value in values.items()}
    return {"filters": dumps(lists).decode()}


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{_BASE}/{path}?{urlencode(query)}" if query else f"{_BASE}/{path}"


def _refusal(answer: Answer) -> Refusal:
    try:
        value: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    message = value.get("message") if isinstance(value, dict) else None
    said = message if isinstance(message, str) else answer.body.decode(errors="replace")
    return Refusal(answer.status, " ".join(said.split())[:_MESSAGE_CHARS_MAX] or f"status {answer.status}")
