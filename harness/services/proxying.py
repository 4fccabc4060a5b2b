"""What a reverse proxy has to do with each request besides passing it on: headers, bounds, and hanging up."""

import asyncio
from collections.abc import Mapping

from aiohttp import hdrs, web
from multidict import CIMultiDict

HELD_BODY_BYTES_MAX = 3 * 1024 * 1024
"""The API server's own limit of a request."""

# Of one connection, not of the request (RFC 9110, 7.6.1); what Connection names is dropped too.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in _HOP_BY_HOP | named:
            kept.add(name, value)
    return kept


class HungUp(Exception):  # noqa: N818 - names what happens, and is no error
    """Raised where the rest of an answer is not to come."""


def hang_up(
    request: web.BaseRequest, response: web.StreamResponse | None = None, *, abort: bool = True
) -> web.StreamResponse:
    """Close the connection without (the rest of) an answer; not `abort`: after what was written to it has left."""
    if isinstance(request.transport, asyncio.Transport):
        if abort:
            request.transport.abort()
        else:
            request.transport.close()
    # Never written: its connection is gone.
    return response or web.Response(status=502)


async def read_whole(request: web.BaseRequest) -> bytes:
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > HELD_BODY_BYTES_MAX:
            raise web.HTTPRequestEntityTooLarge(HELD_BODY_BYTES_MAX, len(body))
    return body
