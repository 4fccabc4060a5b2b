"""One life of the operator: check what it was given, connect, run every loop until a signal or a crash.

Start-up is checked and bounded: a wrong address or a missing right ends the process with one clear line. From then on
whatever is away is waited for, for ever and visibly; whatever is unexpected ends the process, readiness first.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import TypeVar

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

Loop = Callable[[], Awaitable[None]]
S = TypeVar("S")


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
        self._nats_closed = asyncio.Event()
        self._nats_trouble: str | None = None
        self._replicas: list[KvReplica] = []

    async def run(self) -> None:
        """Raises FleetError with one clear line if it could not start; other exceptions are crashes."""
        async with AsyncExitStack() as stack:
            self._take_over(stack)
            loops = await self._unless_stopped(self._start(stack))
            if loops is not None:
                self._log.info("started")
                try:
                    async with asyncio.TaskGroup() as group:
                        for name, loop in loops.items():
                            group.create_task(self._supervised(name, loop()), name=name)
                except* Stopped:
                    pass
            self._log.info("stopped")

    async def _start(self, stack: AsyncExitStack) -> Mapping[str, Loop]:
        """Connect and check; what is to run from then on, by name."""
        settings = self.settings
        ticker: StatusTicker | None = None
        face = HttpFace(self.recovery, self.metrics, self.health, lambda: ticker.late_s if ticker else 0.0)
        address = await face.start(settings.http_host, settings.http_port)
        stack.push_async_callback(face.close)
        self._log.info("starting", http=address, namespace=settings.namespace, pid=os.getpid())

        deadline = asyncio.get_running_loop().time() + settings.start_timeout_s
        kube = await KubeClient.open(settings.kubeconfig, settings.namespace, user_agent="fleet-operator")
        stack.push_async_callback(kube.close)
        listener = connection.Listener(
            lost=self._nats_lost, back=self._nats_back, closed=self._nats_closed.set, error=self._nats_error
        )
        client = await connection.connect(
            settings.nats_url, name="fleet-operator", deadline_s=settings.start_timeout_s, listener=listener
        )
        stack.push_async_callback(connection.close, client)
        self._nats_trouble = None
        js = client.jetstream(timeout=connection.REQUEST_TIMEOUT_S)
        await self._until(deadline, f"Kubernetes API at {kube.server}", lambda: self._check_access(kube))
        jetstream = f"JetStream at {connection.public_url(settings.nats_url)}"
        await self._until(deadline, jetstream, lambda: self._ensure_buckets(js))

        writer = DesiredWriter(self.state, self.recovery, js, self.metrics)
        ticker = StatusTicker(self.state, self.recovery, kube, self.metrics)

        def wake(writer: DesiredWriter = writer, ticker: StatusTicker = ticker) -> None:
            writer.wake()
            ticker.wake()

        books = sources.Books(self.recovery, self.metrics, wake)
        desired = KvReplica(client, js, Bucket.DESIRED_STATE, sources.desired_source(self.state, books, writer))
        reports = KvReplica(client, js, Bucket.DEVICE_STATE, sources.reports_source(self.state, books))
        self._replicas = [desired, reports]
        deployments = sources.deployments_source(self.state, books, ticker)
        devices = sources.devices_source(self.state, books)
        return {
            "deployments": Informer(kube, "deployments", decode_deployment, deployments).run,
            "devices": Informer(kube, "devices", decode_device, devices).run,
            "desired-state": desired.run,
            "device-state": reports.run,
            "desired-writer": writer.run,
            "status-ticker": ticker.run,
            "nats": self._closed_for_good,
            "stop": self._stopped,
        }

    async def _unless_stopped(self, start: Coroutine[None, None, S]) -> S | None:
        """What `start` returns, or None if a signal came first; then it has been cancelled."""
        starting = asyncio.ensure_future(start)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            return starting.result() if starting.done() else None
        finally:
            for task in (starting, stop):
                task.cancel()
            await asyncio.gather(starting, stop, return_exceptions=True)

    async def _supervised(self, name: str, loop: Awaitable[None]) -> None:
        """A loop that ends, however it does, ends the process: readiness goes first."""
        task = asyncio.current_task()
        try:
            await loop
            problem: BaseException = RuntimeError(f"{name} ended by itself")
        except Stopped:
            raise
        except asyncio.CancelledError as e:
            if task is None or task.cancelling():
                raise
            # A task group would take this for a cancellation of ours and go on without the loop.
            problem = RuntimeError(f"{name} was cancelled from inside")
            problem.__cause__ = e
        except Exception as e:  # noqa: BLE001 - raised below
            problem = e
        self.health.problem = f"{name} crashed: {crash_line(problem)}"
        self._log.critical("crashed", loop=name, reason=self.health.problem, exc_info=problem)
        raise problem

    async def _stopped(self) -> None:
        await self._stop.wait()
        self.health.problem = "stopping"
        self._log.info("stopping")
        raise Stopped

    async def _closed_for_good(self) -> None:
        await self._nats_closed.wait()
        raise PeerAway(f"NATS closed the connection for good: {self._nats_trouble or 'no reason given'}")

    def _take_over(self, stack: AsyncExitStack) -> None:
        """Signals ask for an orderly end; what a callback or a forgotten task raises is logged like all else."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
            stack.callback(loop.remove_signal_handler, number)
        stack.callback(loop.set_exception_handler, loop.get_exception_handler())
        loop.set_exception_handler(self._unhandled)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        known = error if isinstance(error, BaseException) else None
        self._log.error("unhandled", reason=str(context.get("message")), exc_info=known)

    def _nats_lost(self) -> None:
        self._log.warning("nats_lost")
        for replica in self._replicas:
            replica.disconnected()

    def _nats_back(self) -> None:
        self._nats_trouble = None
        self._log.info("nats_back")

    def _nats_error(self, reason: str) -> None:
        """Every attempt to reconnect says the same, four times a second: it is logged when it changes."""
        if reason != self._nats_trouble:
            self._nats_trouble = reason
            self._log.warning("nats_error", reason=reason)

    async def _check_access(self, kube: KubeClient) -> None:
        """Ask for every right that is needed, then touch both resources: a missing CRD is found here."""
        try:
            missing = [str(access) for access in NEEDED_ACCESS if not await kube.allowed(access)]
        except PeerRefused as e:
            raise PeerRefused(f"{e}; check the server and the credentials in KUBECONFIG") from e
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

    async def _until(self, deadline: float, peer: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Try until `deadline` (loop time) while `peer` is away; a definite refusal ends it at once."""
        trouble: str | None = None
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        return await attempt()
                    except PeerAway as e:
                        trouble = str(e)
                        self._log.warning("peer_away", reason=trouble)
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError as e:
            # A right that is missing in NATS shows as silence here and as an error of the connection there.
            trouble = trouble or self._nats_trouble or "no answer"
            raise PeerAway(f"{peer}: gave up after {self.settings.start_timeout_s:g} s: {trouble}") from e


def crash_line(error: BaseException) -> str:
    """The first exception inside the groups of task groups, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
