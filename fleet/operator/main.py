"""One life of the operator: check what it was given, connect, run every loop until a signal or a crash.

Start-up is checked and bounded: a wrong address or a missing right ends the process with one clear line. From then on
whatever is away is waited for, for ever and visibly; whatever is unexpected ends the process, readiness first.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from nats.js.client import JetStreamContext

from fleet.bus import buckets, connection
from fleet.bus.replica import KvReplica
from fleet.errors import FleetError, PeerAway, PeerRefused
from fleet.kube.client import Access, KubeClient
from fleet.kube.informer import Informer
from fleet.kube.objects import decode_deployment, decode_device
from fleet.logs import get_logger
from fleet.operator import sources
from fleet.operator.http import Health, HttpFace
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.writers import DesiredWriter, StatusTicker
from fleet.settings import OperatorSettings
from fleet.wire import Bucket

NEEDED_ACCESS = (
    Access("list", "deployments"),
    Access("watch", "deployments"),
    Access("patch", "deployments", "status"),
    Access("list", "devices"),
    Access("watch", "devices"),
)
_RETRY_S = 0.5


class Stopped(FleetError):  # noqa: N818 - not an error: somebody asked us to end
    """SIGTERM or SIGINT."""


class Operator:
    """The parts and how they are wired. `run` lives until it is stopped or something unexpected happens."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.state = FleetState()
        self.recovery = Recovery(sources.SOURCES)
        self.metrics = Metrics()
        self.health = Health()
        self._log = get_logger("operator")
        self._stop = asyncio.Event()
        self._replicas: list[KvReplica] = []

    async def run(self) -> None:
        """Raises FleetError with one clear line if it could not start; other exceptions are crashes."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            ticker: StatusTicker | None = None
            face = HttpFace(self.recovery, self.metrics, self.health, lambda: ticker.late_s if ticker else 0.0)
            address = await face.start(settings.http_host, settings.http_port)
            stack.push_async_callback(face.close)
            self._log.info("starting", http=address, namespace=settings.namespace, pid=os.getpid())

            kube = await KubeClient.open(settings.kubeconfig, settings.namespace, user_agent="fleet-operator")
            stack.push_async_callback(kube.close)
            client = await connection.connect(
                settings.nats_url,
                name="fleet-operator",
                deadline_s=settings.start_timeout_s,
                on_lost=self._nats_lost,
                on_back=lambda: self._log.info("nats_back"),
                on_error=lambda text: self._log.warning("nats_error", reason=text),
            )
            stack.push_async_callback(connection.close, client)
            js = client.jetstream(timeout=connection.REQUEST_TIMEOUT_S)
            await self._within_start(lambda: self._check_access(kube))
            await self._within_start(lambda: self._ensure_buckets(js))

            writer = DesiredWriter(self.state, self.recovery, js, self.metrics)
            ticker = StatusTicker(self.state, self.recovery, kube, self.metrics)

            def wake(writer: DesiredWriter = writer, ticker: StatusTicker = ticker) -> None:
                writer.wake()
                ticker.wake()

            books = sources.Books(self.recovery, self.metrics, wake)
            state = self.state
            deployments = sources.deployments_source(state, books, ticker)
            desired = sources.desired_source(state, books, writer)
            self._replicas = [
                KvReplica(client, js, Bucket.DESIRED_STATE, desired),
                KvReplica(client, js, Bucket.DEVICE_STATE, sources.reports_source(state, books)),
            ]
            self._catch_signals()
            self._log.info("started")
            loops: dict[str, Awaitable[None]] = {
                "deployments": Informer(kube, "deployments", decode_deployment, deployments).run(),
                "devices": Informer(kube, "devices", decode_device, sources.devices_source(state, books)).run(),
                "desired-state": self._replicas[0].run(),
                "device-state": self._replicas[1].run(),
                "desired-writer": writer.run(),
                "status-ticker": ticker.run(),
                "stop": self._stopped(),
            }
            try:
                async with asyncio.TaskGroup() as group:
                    for name, loop in loops.items():
                        group.create_task(self._supervised(name, loop), name=name)
            except* Stopped:
                self._log.info("stopped")

    async def _supervised(self, name: str, loop: Awaitable[None]) -> None:
        """A loop that ends, ends the process: readiness goes first."""
        try:
            await loop
        except Stopped:
            raise
        except Exception as e:
            self.health.problem = f"{name} crashed: {type(e).__name__}: {e}"
            self._log.critical("crashed", loop=name, reason=self.health.problem, exc_info=e)
            raise
        raise RuntimeError(f"{name} ended by itself")

    async def _stopped(self) -> None:
        await self._stop.wait()
        self.health.problem = "stopping"
        self._log.info("stopping")
        raise Stopped

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _nats_lost(self) -> None:
        self._log.warning("nats_lost")
        for replica in self._replicas:
            replica.disconnected()

    async def _check_access(self, kube: KubeClient) -> None:
        """Ask for every right that is needed, then touch both resources: a missing CRD is found here."""
        missing = [str(access) for access in NEEDED_ACCESS if not await kube.allowed(access)]
        if missing:
            raise PeerRefused(
                f"Kubernetes API at {kube.server}: this user may not {', '.join(missing)} in namespace "
                f"{kube.namespace}; give it the rights that docs/contract.md lists"
            )
        for resource in ("deployments", "devices"):
            try:
                await kube.list_page(resource, limit=1, continue_token="")
            except PeerRefused as e:
                raise PeerRefused(f"{e}; are the CRDs installed? `fleet crds --apply` installs them") from e

    async def _ensure_buckets(self, js: JetStreamContext) -> None:
        notes: list[str] = []
        for report in await buckets.ensure_all(js):
            notes.extend(report.problems)
            if report.created or report.mended or report.problems:
                self._log.info(
                    "bucket_ready",
                    bucket=report.bucket.value,
                    created=report.created,
                    mended=list(report.mended),
                    problems=list(report.problems),
                )
        self.health.notes = notes

    async def _within_start(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try until the start deadline while the peer is away; a definite refusal ends it at once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.start_timeout_s
        while True:
            try:
                return await attempt()
            except PeerAway as e:
                if loop.time() + _RETRY_S > deadline:
                    raise PeerAway(f"gave up after {self.settings.start_timeout_s:g} s: {e}") from e
                self._log.warning("peer_away", reason=str(e))
            await asyncio.sleep(_RETRY_S)
