"""Where HTTP faults bite: the gate before the API server, and requests of our own that show what it does."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import Literal

import aiohttp
from aiohttp import hdrs
from yarl import URL

from harness.errors import ServiceError
from harness.services.gate import ANY, Gate, Rule
from harness.services.gate_troubles import PROOF_AGENT
from harness.services.kube_answers import resource_path
from harness.services.kube_session import JSON, MERGE_PATCH

ANSWER_WITHIN_S = 10.0
_BODY_BYTES_MAX = 4 * 1024 * 1024

Ended = Literal["whole", "broken", "late", "not-http", "no-answer"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Requests that a fault is to hit, and one of them that the harness may send itself."""

    rule: Rule
    method: str
    resource: str
    query: str = ""
    name: str | None = None
    subresource: str | None = None

    def path(self, namespace: str) -> str:
        return resource_path(self.resource, namespace, self.name, self.subresource) + self.query


# A list of one object is a question that some ask at their start; nothing is rebuilt from it.
_LIST = r"/(deployments|devices)(\?(?!.*\b(watch=(1|true)|limit=1)(&|$)).*)?$"
_WATCH = r"/(deployments|devices)\?.*\bwatch=(1|true)(&|$)"

EVERYTHING = Scope(Rule("all", ANY, ""), "GET", "devices")
LISTS = Scope(Rule("list", "GET", _LIST), "GET", "devices")
WATCHES = Scope(Rule("watch", "GET", _WATCH), "GET", "devices", "?watch=true&timeoutSeconds=1")
# Nothing is changed by a patch of an object that is not there.
STATUS_PATCHES = Scope(
    Rule("status-patch", "PATCH", r"/deployments/[^/]+/status(\?|$)"),
    "PATCH",
    "deployments",
    name="fleetproof-proof",
    subresource="status",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a request. `status` is 0 and `body` empty if no answer began."""

    ended: Ended
    took_s: float
    status: int = 0
    body: bytes = b""

    @property
    def words(self) -> str:
        if not self.status:
            return f"{self.ended} after {self.took_s:.2f} s"
        return f"{self.status} and {len(self.body)} bytes of a body, {self.ended} after {self.took_s:.2f} s"


class HttpPoint:
    """The gate of one environment, asked with the operator's own rights."""

    def __init__(self, gate: Gate, token: str, namespace: str) -> None:
        self.gate = gate
        self.namespace = namespace
        self._token = token

    async def ask(self, scope: Scope, *, at: str | None = None, within_s: float = ANSWER_WITHIN_S) -> Seen:
        """Send the scope's own request: to the gate, or to another `at` (host:port) that leads there."""
        url = URL((f"https://{at}" if at else self.gate.url) + scope.path(self.namespace), encoded=True)
        patches = scope.method == "PATCH"
        headers = {
            hdrs.AUTHORIZATION: f"Bearer {self._token}",
            hdrs.USER_AGENT: PROOF_AGENT,
            hdrs.CONTENT_TYPE: MERGE_PATCH if patches else JSON,
        }
        began = time.monotonic()
        status, body = 0, bytearray()

        def seen(ended: Ended) -> Seen:
            return Seen(ended, time.monotonic() - began, status, bytes(body))

        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=self.gate.ca_pem.decode()))
        try:
            async with (
                asyncio.timeout(within_s),
                aiohttp.ClientSession(connector=connector) as session,
                session.request(scope.method, url, headers=headers, data=b"{}" if patches else None) as answer,
            ):
                status = answer.status
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > _BODY_BYTES_MAX:
                        raise ServiceError(f"{scope.method} {url.path}: an answer of over {_BODY_BYTES_MAX} bytes")
                return seen("whole")
        except TimeoutError:
            return seen("late")
        except aiohttp.ClientResponseError:
            return seen("not-http")
        except aiohttp.ClientError:
            return seen("broken" if status else "no-answer")
