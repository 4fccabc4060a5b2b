"""The HTTP fault point before the API server: a reverse proxy that can hold, drop or release one request.

    operator --TLS (our CA)--> gate --TLS (its CA)--> kube-apiserver
                                 |
                     rule matches its n-th request
                                 |
                       held -> release: forwarded now
                               drop:    never forwarded, connection closed

TCP faults are toxiproxy's; this is for what needs to see a request. Everything passes unless a test arms a rule.
Bodies are streamed both ways unbuffered (a watch is one endless answer); only a held request is read whole first.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Self

import aiohttp
import trustme
from aiohttp import hdrs, web
from yarl import URL

from harness import history
from harness.errors import ServiceError, WaitTimeout
from harness.history import Recorder
from harness.services.ports import HOST, PortLease, lease
from harness.services.proxying import end_to_end, hang_up, read_whole

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0
_BACKLOG = 256

Decision = Literal["released", "dropped"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Selects requests: the method, and a pattern searched in the path with its query."""

    name: str
    method: str
    path_regex: str

    def matches(self, method: str, path: str) -> bool:
        return method == self.method and re.search(self.path_regex, path) is not None


class Held:
    """A hold on the `ordinal`-th request of a rule, counted from 1 since the rule was armed."""

    def __init__(self, gate: "Gate", rule: Rule, ordinal: int) -> None:
        self.rule = rule
        self.ordinal = ordinal
        self.method = ""
        self.path = ""
        self._gate = gate
        self._reached = asyncio.Event()
        self._decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    async def reached(self, deadline_s: float) -> None:
        """Wait until the request has come and is held. Raises WaitTimeout with the count so far."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._reached.wait()
        except TimeoutError as e:
            raise WaitTimeout(
                f"request {self.ordinal} of rule {self.rule.name} ({self.rule.method} {self.rule.path_regex}) "
                f"did not come within {deadline_s:g} s; seen {self._gate.count(self.rule)}"
            ) from e

    def drop(self) -> None:
        """Never forward it; close its connection without an answer."""
        self._decide("dropped")

    def release(self) -> None:
        """Forward it now, even if its client has gone meanwhile: it was on the wire."""
        self._decide("released")

    @property
    def decided(self) -> Decision | None:
        return self._decision.result() if self._decision.done() else None

    def _decide(self, decision: Decision) -> None:
        if not self._reached.is_set():
            raise ServiceError(f"request {self.ordinal} of rule {self.rule.name} has not come yet: nothing is held")
        if self._decision.done():
            raise ServiceError(f"request {self.ordinal} of rule {self.rule.name} was {self._decision.result()} already")
        # Recorded first: what the decision causes must not stand before it in the history.
        self._gate.record(self, decision)
        self._decision.set_result(decision)

    def _arrive(self, method: str, path: str) -> None:
        self.method, self.path = method, path
        self._gate.record(self, "held")
        self._reached.set()


class Gate:
    """Owns a listening port, its connections both ways, and what it holds."""

    def __init__(self, upstream: str, upstream_ca_pem: bytes, recorder: Recorder | None = None) -> None:
        self._upstream = upstream.rstrip("/")
        self._upstream_ca_pem = upstream_ca_pem
        self._recorder = recorder
        self._ca = trustme.CA(organization_name="fleetproof gate")
        self._counts: dict[Rule, int] = {}
        self._holds: dict[tuple[Rule, int], Held] = {}
        self._orphans: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.BaseTransport] = set()
        self._lease: PortLease | None = None
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> Self:
        """Raises ServiceError if it runs already or its port was taken this instant."""
        if self._lease is not None:
            raise ServiceError("this gate runs already")
        self._lease = lease()
        try:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=ssl.create_default_context(cadata=self._upstream_ca_pem.decode()), limit=0
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
            )
            # A client that hangs up ends its upstream request too, as it would without us.
            server = web.Server(self._handle, handler_cancellation=True, access_log=None)
            self._runner = web.ServerRunner(server, shutdown_timeout=CLOSE_WITHIN_S)
            await self._runner.setup()
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._ca.issue_cert(HOST, "localhost").configure_cert(tls)
            site = web.TCPSite(self._runner, HOST, self._lease.port, ssl_context=tls, backlog=_BACKLOG)
            await site.start()
        except OSError as e:
            await self.close()
            raise ServiceError(f"gate: cannot listen: {e.strerror}") from e
        except BaseException:
            await self.close()
            raise
        return self

    async def __aenter__(self) -> Self:
        return self if self._lease is not None else await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        if self._lease is None:
            raise ServiceError("the gate is not running")
        return f"https://{HOST}:{self._lease.port}"

    @property
    def ca_pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def arm(self, rule: Rule) -> None:
        """Count its requests from now on."""
        self._counts.setdefault(rule, 0)

    def count(self, rule: Rule) -> int:
        """Requests of an armed rule that came so far, held ones included."""
        return self._counts.get(rule, 0)

    def hold(self, rule: Rule, ordinal: int) -> Held:
        """Hold its `ordinal`-th request, counted from when the rule was armed (now, if it was not)."""
        self.arm(rule)
        if ordinal <= self._counts[rule]:
            raise ServiceError(f"request {ordinal} of rule {rule.name} has passed: {self._counts[rule]} were seen")
        return self._holds.setdefault((rule, ordinal), Held(self, rule, ordinal))

    def disarm(self, rule: Rule) -> None:
        """Forget a rule: its count, and its holds that were not reached. What is held stays held."""
        self._counts.pop(rule, None)
        for key in [key for key in self._holds if key[0] == rule]:
            del self._holds[key]

    def record(self, held: Held, event: Literal["held", "dropped", "released"]) -> None:
        if self._recorder is not None:
            self._recorder.add(
                history.Gate(
                    at_s=self._recorder.now_s,
                    rule=held.rule.name,
                    ordinal=held.ordinal,
                    event=event,
                    method=held.method,
                    path=held.path,
                )
            )

    async def close(self) -> None:
        """End every connection at once, open watches too; what is held is never forwarded. Idempotent."""
        for transport in tuple(self._transports):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        for orphan in tuple(self._orphans):
            orphan.cancel()
        await asyncio.gather(*self._orphans, return_exceptions=True)
        runner, self._runner = self._runner, None
        session, self._session = self._session, None
        held_port, self._lease = self._lease, None
        try:
            if runner is not None:
                await runner.cleanup()
            if session is not None:
                await session.close()
        finally:
            if held_port is not None:
                held_port.release()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            self._transports.add(transport)
        try:
            held = self._admit(request.method, request.raw_path)
            if held is None:
                return await self._forward(request, request.content.iter_any() if request.body_exists else None)
            return await self._hold(request, held)
        except aiohttp.ClientError:
            # The API server hung up or was not there; without us the client would see just that.
            return hang_up(request)
        finally:
            if transport is not None:
                self._transports.discard(transport)

    def _admit(self, method: str, path: str) -> Held | None:
        """Count the request under every rule it matches; the hold that is due for it, if any."""
        due = None
        for rule in self._counts:
            if rule.matches(method, path):
                self._counts[rule] += 1
                due = self._holds.pop((rule, self._counts[rule]), None) or due
        return due

    async def _hold(self, request: web.BaseRequest, held: Held) -> web.StreamResponse:
        body = await read_whole(request)
        held._arrive(request.method, request.raw_path)  # noqa: SLF001 - the two classes are one mechanism
        try:
            decision = await asyncio.shield(held._decision)  # noqa: SLF001 - as above
        except asyncio.CancelledError:
            # Its client is gone, but the request is on the wire: whoever holds it still decides.
            orphan = asyncio.create_task(self._forward_orphan(request, body, held), name=f"orphan {held.rule.name}")
            self._orphans.add(orphan)
            orphan.add_done_callback(self._orphans.discard)
            raise
        if decision == "dropped":
            return hang_up(request)
        return await self._forward(request, body)

    async def _forward_orphan(self, request: web.BaseRequest, body: bytes, held: Held) -> None:
        if await asyncio.shield(held._decision) == "released":  # noqa: SLF001 - the two classes are one mechanism
            with contextlib.suppress(aiohttp.ClientError):
                async with self._upstream_request(request, body) as answer:
                    await answer.read()

    async def _forward(self, request: web.BaseRequest, body: AsyncIterator[bytes] | bytes | None) -> web.StreamResponse:
        async with self._upstream_request(request, body) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers)
            )
            if answer.content_length is None:
                response.enable_chunked_encoding()
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except aiohttp.ClientError:
                # Cut in the middle: the client must not take it for the end.
                return hang_up(request, response)
            await response.write_eof()
            return response

    def _upstream_request(
        self, request: web.BaseRequest, body: AsyncIterator[bytes] | bytes | None
    ) -> "contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]":
        if self._session is None:
            raise aiohttp.ClientConnectionError("the gate is closing")
        return self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=end_to_end(request.headers),
            data=body,
            allow_redirects=False,
        )
