"""The HTTP fault point before the API server: a reverse proxy that can hold one request and spoil any answer.

    operator --TLS (our CA)--> gate --TLS (its CA)--> kube-apiserver
                                 |
              1. is it the n-th of a rule, to be held?      gate_holds
                   release: goes on now; drop: connection closed
              2. is trouble on for it?                      gate_troubles, gate_ways
                   answered here, or passed on and its answer spoiled
              3. passed on

TCP faults are toxiproxy's; this is for what needs to see a request. Everything passes unless a test says otherwise.
Bodies are streamed both ways unbuffered (a watch is one endless answer); only a held request is read whole first.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
import trustme
from aiohttp import hdrs, web
from yarl import URL

from harness import history
from harness.errors import ServiceError
from harness.history import Recorder
from harness.history.records import GateEvent
from harness.services.gate_holds import Held, HoldEvent, Holds
from harness.services.gate_rules import ANY, Rule
from harness.services.gate_troubles import Trouble, Troubles, is_proof
from harness.services.gate_ways import Change, Way
from harness.services.ports import HOST, PortLease, lease
from harness.services.proxying import HungUp, end_to_end, hang_up, read_whole

__all__ = ["ANY", "Gate", "Held", "Rule", "Trouble"]

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0
_BACKLOG = 256


class Gate:
    """Owns a listening port, its connections both ways, and what it holds."""

    def __init__(self, upstream: str, upstream_ca_pem: bytes, recorder: Recorder | None = None) -> None:
        self._upstream = upstream.rstrip("/")
        self._upstream_ca_pem = upstream_ca_pem
        self._recorder = recorder
        self._ca = trustme.CA(organization_name="fleetproof gate")
        self._holds = Holds(self._tell_hold)
        self._troubles = Troubles()
        self._orphans: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.BaseTransport] = set()
        # Those whose answer has begun, by identity: requests have no hash.
        self._answering: dict[int, web.BaseRequest] = {}
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
        self._holds.arm(rule)

    def count(self, rule: Rule) -> int:
        """Requests of an armed rule that came so far, held ones included."""
        return self._holds.count(rule)

    def hold(self, rule: Rule, ordinal: int) -> Held:
        """Hold its `ordinal`-th request, counted from when the rule was armed (now, if it was not)."""
        return self._holds.hold(rule, ordinal)

    def disarm(self, rule: Rule) -> None:
        """Forget a rule: its count, and its holds that were not reached. What is held stays held."""
        self._holds.disarm(rule)

    def trouble(self, rule: Rule, way: Way, *, first: int | None = None) -> Trouble:
        """From now on the requests of a rule (or only the `first` of them) go wrong in this way, until it is ended.

        Answers that are under way to such requests (open watches) break off. While any trouble is on, each request that
        comes stands in the history, also one that passes.
        """
        trouble = self._troubles.begin(rule, way, first)
        for request in tuple(self._answering.values()):
            if rule.matches(request.method, request.raw_path):
                hang_up(request)
        return trouble

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
            held = None if is_proof(request) else self._holds.due(request.method, request.raw_path)
            if held is None:
                return await self._pass_on(request, request.content.iter_any() if request.body_exists else None)
            return await self._hold(request, held)
        except aiohttp.ClientError:
            # The API server hung up or was not there; without us the client would see just that.
            return hang_up(request)
        finally:
            if transport is not None:
                self._transports.discard(transport)

    async def _hold(self, request: web.BaseRequest, held: Held) -> web.StreamResponse:
        body = await read_whole(request)
        held.arrive(request.method, request.raw_path)
        try:
            decision = await held.decision()
        except asyncio.CancelledError:
            # Its client is gone, but the request is on the wire: whoever holds it still decides.
            orphan = asyncio.create_task(self._forward_orphan(request, body, held), name=f"orphan {held.rule.name}")
            self._orphans.add(orphan)
            orphan.add_done_callback(self._orphans.discard)
            raise
        if decision == "dropped":
            return hang_up(request)
        return await self._pass_on(request, body)

    async def _forward_orphan(self, request: web.BaseRequest, body: bytes, held: Held) -> None:
        if await held.decision() == "released":
            with contextlib.suppress(aiohttp.ClientError):
                async with self._upstream_request(request, body) as answer:
                    await answer.read()

    async def _pass_on(self, request: web.BaseRequest, body: AsyncIterator[bytes] | bytes | None) -> web.StreamResponse:
        """To the API server, unless trouble is on for it."""

        async def forward(change: Change | None = None) -> web.StreamResponse:
            return await self._forward(request, body, change)

        trouble = self._troubles.met(request)
        if trouble is None:
            if (ordinal := self._troubles.spared(request)) is not None:
                self._tell_trouble(request, "spared", ordinal)
            return await forward()
        if not is_proof(request):
            self._tell_trouble(request, trouble.rule.name, trouble.came, trouble.way.words)
        return await trouble.way.meet(request, forward, trouble.over)

    async def _forward(
        self, request: web.BaseRequest, body: AsyncIterator[bytes] | bytes | None, change: Change | None
    ) -> web.StreamResponse:
        async with self._upstream_request(request, body) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers)
            )
            if answer.content_length is None:
                response.enable_chunked_encoding()
            await response.prepare(request)
            chunks: AsyncIterator[bytes] = answer.content.iter_any()
            self._answering[id(request)] = request
            try:
                async for chunk in chunks if change is None else change(chunks):
                    await response.write(chunk)
            except (aiohttp.ClientError, HungUp):
                # Cut in the middle: the client must not take it for the end.
                return hang_up(request, response)
            finally:
                del self._answering[id(request)]
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

    def _tell_hold(self, held: Held, event: HoldEvent) -> None:
        self._record(rule=held.rule.name, ordinal=held.ordinal, event=event, method=held.method, path=held.path)

    def _tell_trouble(self, request: web.BaseRequest, rule: str, ordinal: int, detail: str | None = None) -> None:
        """`detail` says how it went wrong, None that it did not."""
        event: GateEvent = "passed" if detail is None else "faulted"
        method, path = request.method, request.raw_path
        self._record(rule=rule, ordinal=ordinal, event=event, method=method, path=path, detail=detail or "")

    def _record(self, *, rule: str, ordinal: int, event: GateEvent, method: str, path: str, detail: str = "") -> None:
        if self._recorder is not None:
            at_s = self._recorder.now_s
            self._recorder.add(
                history.Gate(
                    at_s=at_s, rule=rule, ordinal=ordinal, event=event, method=method, path=path, detail=detail
                )
            )
