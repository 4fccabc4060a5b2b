"""The TCP fault point: a real toxiproxy-server and the few calls of its HTTP API that faults need.

Our own client: the published one blocks the event loop without a time-out and keeps its server's address in a
class, one for the whole process (docs/adr/0005-toxiproxy-client.md).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import aiohttp
import msgspec

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services.ports import HOST, PortLease, lease
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.wait import wait_for

READY_WITHIN_S = 20.0
CALL_WITHIN_S = 10.0
ANSWER_BYTES_MAX = 1024 * 1024

Stream = Literal["upstream", "downstream"]
"""From the client to the server, or back."""


class ToxiproxyError(ServiceError):
    """Toxiproxy refused a call. `status` is HTTP's; 0 if there was no answer."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Proxy:
    """One listener before one upstream. Keeps its port while it is disabled."""

    name: str
    upstream: str
    listen: str
    _server: "Toxiproxy" = field(repr=False)
    _lease: PortLease = field(repr=False)
    enabled: bool = True

    async def add_toxic(
        self,
        name: str,
        kind: str,
        *,
        stream: Stream = "downstream",
        toxicity: float = 1.0,
        attributes: dict[str, int] | None = None,
    ) -> None:
        """Kinds and attributes are toxiproxy's own: latency, bandwidth, timeout, reset_peer, limit_data, ..."""
        body = {"name": name, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes or {}}
        await self._server.call("POST", f"/proxies/{self.name}/toxics", body)

    async def remove_toxic(self, name: str) -> None:
        await self._server.call("DELETE", f"/proxies/{self.name}/toxics/{name}")

    async def disable(self) -> None:
        """Cut: open connections are closed and new ones refused."""
        await self._set_enabled(enabled=False)

    async def enable(self) -> None:
        await self._set_enabled(enabled=True)

    async def delete(self) -> None:
        """End the proxy and give its port back. Idempotent."""
        try:
            await self._server.call("DELETE", f"/proxies/{self.name}")
        except ToxiproxyError as e:
            if e.status != 404:  # noqa: PLR2004 - HTTP's "gone already"
                raise
        finally:
            self._lease.release()

    async def _set_enabled(self, *, enabled: bool) -> None:
        await self._server.call("POST", f"/proxies/{self.name}", {"enabled": enabled})
        self.enabled = enabled


class Toxiproxy:
    """Owns one toxiproxy-server, its proxies and their ports."""

    def __init__(self, process: ManagedProcess, api_lease: PortLease) -> None:
        self.process = process
        self._url = f"http://{HOST}:{api_lease.port}"
        self._leases = [api_lease]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_WITHIN_S))

    @classmethod
    async def start(
        cls,
        binary: Path,
        folder: Path,
        *,
        warden: Warden,
        recorder: Recorder | None = None,
        name: str = "toxiproxy",
    ) -> Self:
        """Ready means: its API answers. Raises ServiceError with the end of its log otherwise."""
        api_lease = lease()
        try:
            process = await ManagedProcess.spawn(
                name,
                [binary, "-host", HOST, "-port", str(api_lease.port)],
                env={},
                cwd=folder,
                log_path=folder / f"{name}.log",
                warden=warden,
                recorder=recorder,
            )
        except BaseException:
            api_lease.release()
            raise
        server = cls(process, api_lease)
        try:
            await server._wait_ready()
        except BaseException:
            await server.stop()
            raise
        process.record("ready")
        return server

    async def create(self, name: str, upstream: str) -> Proxy:
        """A new proxy on a port of its own. `upstream` is host:port and need not be there yet."""
        port = lease()
        try:
            listen = f"{HOST}:{port.port}"
            body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
            await self.call("POST", "/proxies", body)
        except BaseException:
            port.release()
            raise
        self._leases.append(port)
        return Proxy(name=name, upstream=upstream, listen=listen, _server=self, _lease=port)

    async def version(self) -> str:
        answer = await self.call("GET", "/version")
        return str(answer["version"]) if isinstance(answer, dict) else str(answer)

    async def stop(self) -> None:
        """End the server with all its proxies. Idempotent."""
        try:
            await self._session.close()
            # It keeps nothing that could be lost.
            await self.process.kill()
        finally:
            for held in self._leases:
                held.release()

    async def call(self, method: str, path: str, body: object = None) -> object:
        """One API call; the decoded answer, None if it is empty. Raises ToxiproxyError."""
        what = f"toxiproxy {method} {path}"
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, self._url + path, data=data) as answer:
                content = b""
                async for chunk in answer.content.iter_any():
                    content += chunk
                    if len(content) > ANSWER_BYTES_MAX:
                        raise ToxiproxyError(f"{what}: the answer is over {ANSWER_BYTES_MAX} bytes", answer.status)
                if not answer.ok:
                    text = content[:300].decode(errors="replace").strip()
                    raise ToxiproxyError(f"{what}: {answer.status}: {text}", answer.status)
        except (aiohttp.ClientError, TimeoutError) as e:
            raise ToxiproxyError(f"{what}: no answer: {str(e) or type(e).__name__}", 0) from e
        try:
            return msgspec.json.decode(content) if content else None
        except msgspec.DecodeError as e:
            raise ToxiproxyError(f"{what}: the answer is not JSON", answer.status) from e

    async def _wait_ready(self) -> None:
        process = self.process

        async def ready() -> bool | None:
            process.check_running()
            await self.call("GET", "/version")
            return True

        await wait_for(f"{process.name} to answer", ready, deadline_s=READY_WITHIN_S, expect=(ToxiproxyError,))
