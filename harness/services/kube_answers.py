"""Paths into the Kubernetes API and answers out of it: its two kinds of failure, and JSON taken apart with care."""

from collections.abc import AsyncGenerator

import aiohttp
import msgspec

from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube_config import GROUP

VERSION = "v1alpha1"
_TEXT_CHARS_MAX = 400


class KubeApiError(ServiceError):
    """The API server refused a request: it had no effect. `status` is HTTP's, `reason` Kubernetes' word for it."""

    def __init__(self, request: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{request}: {status} {reason}: {message[:_TEXT_CHARS_MAX]}")
        self.status = status
        self.reason = reason


class KubeUnreachable(ServiceError):  # noqa: N818 - names a state
    """No answer: nobody can tell whether the request had an effect."""


def resource_path(resource: str, namespace: str, name: str | None = None, subresource: str | None = None) -> str:
    """The URL path of our custom resources."""
    parts = [f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{resource}", name, subresource]
    return "/".join(part for part in parts if part)


async def lines_of(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Complete lines of any length."""
    rest = b""
    async for chunk in content.iter_any():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line


def raise_for_status(what: str, status: int, content: bytes) -> None:
    if status < 400:  # noqa: PLR2004 - HTTP's first error
        return
    try:
        answer = msgspec.json.decode(content)
    except msgspec.DecodeError:
        answer = {}
    known = answer if isinstance(answer, dict) else {}
    text = content.decode(errors="replace")
    raise KubeApiError(what, status, str(known.get("reason", "")), str(known.get("message", text)))


def mapping(value: object) -> Json:
    if not isinstance(value, dict):
        raise ServiceError(f"the API server answered {type(value).__name__} where an object was due")
    return value


def items_of(answer: Json) -> list[Json]:
    items = answer.get("items")
    return [mapping(item) for item in items] if isinstance(items, list) else []
