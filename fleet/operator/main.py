"""One life of the operator: check what it was given, connect, run every loop until a signal or a crash.

Start-up is checked and bounded: a wrong address or a missing right ends the process with one clear line. From then on
whatever is away is waited for, for ever and visibly; whatever is unexpected ends the process, readiness first.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from nats.aio.client import Client
from nats.js.client import JetStreamContext

from fleet.bus import buckets, connection
from fleet.bus.buckets import BucketReport, Identity
from fleet.bus.replica import KvReplica
from fleet.errors import FleetError, crash_line
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.kube.objects import Deployment, Device, decode_deployment, decode_device
from fleet.logs import get_logger
from fleet.operator import collector, sources
from fleet.operator.announcer import Announcer
from fleet.operator.asking import Asking
from fleet.operator.books import BESIDE, SOURCES, Books
from fleet.operator.deployments_last import DeploymentsLast
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.http import Health, HttpFace
from fleet.operator.keys import PairKeys
from fleet.operator.links import NatsLinks
from fleet.operator.metrics import Metrics
from fleet.operator.object_writer import ObjectWriter
from fleet.operator.parts import Parts
from fleet.operator.recovery import Recovery
from fleet.operator.sources import BucketSource
from fleet.operator.standstill import Standstill
from fleet.operator.startup import check_access, check_cluster, until
from fleet.operator.state import FleetState
from fleet.operator.status import Trouble
from fleet.operator.status_ticker import StatusTicker
from fleet.operator.sweeper import Sweeper
from fleet.settings import OperatorSettings
from fleet.wire import Bucket, DeploymentName, DeviceId, Pair

_FINISH_S_MAX = 3.0
_CAUGHT_UP_S_MAX = 5.0

Loop = Callable[[], Awaitable[None]]
S = TypeVar("S")


class Stopped(FleetError):  # noqa: N818 - not an error: somebody asked us to end
    """SIGTERM or SIGINT."""


class Operator:
    """The parts and how they are wired. `run` lives until it is stopped or something unexpected happens."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.state = FleetState(settings.stale_after_s)
        self.recovery = Recovery(SOURCES, BESIDE)
        self.metrics = Metrics()
        self.health = Health()
        self.standstill = Standstill(self._stood_still)
        self._log = get_logger("operator")
        self._stop = asyncio.Event()
        self._links = NatsLinks(settings.nats_url, deadline_s=settings.start_timeout_s)
        # Buckets that were missing or not ours when we started: what they held must be asked for.
        self._made: set[Bucket] = set()
        self._replicas: Mapping[Bucket, KvReplica] = {}
        self._informers: list[Informer[Deployment] | Informer[Device]] = []
        self._finish: Callable[[], Awaitable[None]] = _nothing

    async def run(self) -> None:
        """Raises FleetError with one clear line if it could not start; other exceptions are crashes."""
        collector.before_replay()
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
        client = await self._links.open(stack, "fleet-operator")
        js = client.jetstream(timeout=connection.REQUEST_TIMEOUT_S)

        async def once(peer: str, attempt: Callable[[], Awaitable[S]]) -> S:
            # A right that is missing in NATS shows as silence here and as an error of the connection there.
            return await until(deadline, settings.start_timeout_s, peer, attempt, lambda: self._links.trouble)

        cluster = await once(f"Kubernetes API at {kube.server}", lambda: check_access(kube))
        identity = Identity(cluster, settings.namespace)
        jetstream = f"JetStream at {connection.public_url(settings.nats_url)}"
        await once(jetstream, lambda: self._ensure_buckets(js, identity))
        followers = {
            bucket: await self._links.open(stack, f"fleet-operator-{bucket}", partial(self._bucket_lost, bucket))
            for bucket in Bucket
        }
        ticker, loops = self._wire(kube, client, js, followers, identity)
        return loops

    def _wire(
        self,
        kube: KubeClient,
        client: Client,
        js: JetStreamContext,
        followers: Mapping[Bucket, Client],
        identity: Identity,
    ) -> tuple[StatusTicker, Mapping[str, Loop]]:
        """Make the parts and say who hears of what. What runs from then on, by name.

        `followers` are the connections of the replicas.
        """
        state, recovery, metrics = self.state, self.recovery, self.metrics
        announcer = Announcer(state, kube, metrics)
        parts = Parts(state, recovery, self.standstill, js, kube, metrics, self.health, announcer)
        writer = DesiredWriter(parts)
        objects = ObjectWriter(parts)
        sweeper = Sweeper(parts, writer)

        def trouble(name: DeploymentName) -> Trouble | None:
            return sweeper.trouble(name) or writer.trouble(name)

        ticker = StatusTicker(parts, trouble=trouble, caught_up=self._caught_up)

        def wake() -> None:
            for part in (writer, objects, ticker):
                part.wake()

        async def finish() -> None:
            objects.finish()
            await asyncio.gather(writer.finish(), ticker.finish())

        self._finish = finish
        asking = Asking(client, state, recovery)
        books, keys = Books(recovery, metrics, wake), PairKeys()
        now_s = asyncio.get_running_loop().time
        sinks: dict[Bucket, BucketSource[Pair] | BucketSource[DeviceId]] = {
            Bucket.DESIRED_STATE: sources.desired_source(state, books, keys, writer),
            Bucket.DEVICE_STATE: sources.reports_source(state, books, keys, asking.lost),
            Bucket.DEVICE_HEARTBEAT: sources.HeartbeatSource(state, books, keys, content_lost=asking.lost, now_s=now_s),
            Bucket.DEVICE_INFO: sources.infos_source(state, books, keys, asking.lost, asking.heard),
        }
        for bucket in self._made:
            sinks[bucket].made()
        timeout_s = connection.REQUEST_TIMEOUT_S
        replicas = {
            bucket: KvReplica(follower, follower.jetstream(timeout=timeout_s), bucket, sinks[bucket], identity)
            for bucket, follower in followers.items()
        }
        last = DeploymentsLast(sources.deployments_source(state, books, ticker), books, state)

        async def same_cluster() -> None:
            check_cluster(await kube.cluster_uid(), identity)

        deployments = Informer(kube, "deployments", decode_deployment, last, same_cluster)
        devices = Informer(kube, "devices", decode_device, sources.devices_source(state, books), same_cluster)
        self._replicas = replicas
        self._informers = [deployments, devices]
        return ticker, {
            "deployments": deployments.run,
            "deployments-last": last.run,
            "devices": devices.run,
            **{bucket.value: replica.run for bucket, replica in replicas.items()},
            "desired-writer": writer.run,
            "object-writer": objects.run,
            "sweeper": sweeper.run,
            "status-ticker": ticker.run,
            "announcer": announcer.run,
            "standstill": self.standstill.run,
            "nats": self._links.closed_for_good,
            "stop": self._stopped,
        }

    async def _caught_up(self) -> None:
        """On return, everything that was stored before the call is in the state. Raises PeerError."""
        for replica in self._replicas.values():
            await replica.caught_up(_CAUGHT_UP_S_MAX)

    def _stood_still(self, still_s: float) -> None:
        """What we know is old by as much, and whoever else runs may have acted on newer."""
        reason = f"this process stood still for {still_s:.1f} s"
        self.metrics.standstills.inc()
        self._log.warning("stood_still", seconds=round(still_s, 1))
        for informer in self._informers:
            informer.refresh(reason)
        for replica in self._replicas.values():
            replica.recheck(reason)

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
        """Wait for the signal; then let what is being written come to its end, within seconds."""
        await self._stop.wait()
        self.health.problem = "stopping"
        self._log.info("stopping")
        try:
            async with asyncio.timeout(_FINISH_S_MAX):
                await self._finish()
        except TimeoutError:
            self._log.warning("stopped_in_the_middle", waited_s=_FINISH_S_MAX)
        raise Stopped

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

    def _bucket_lost(self, bucket: Bucket) -> None:
        replica = self._replicas.get(bucket)
        if replica is not None:
            replica.disconnected()

    async def _ensure_buckets(self, js: JetStreamContext, identity: Identity) -> None:
        await buckets.check_all(js, identity)
        for bucket in Bucket:
            self._bucket_ready(await buckets.ensure(js, bucket, identity))

    def _bucket_ready(self, report: BucketReport) -> None:
        if report.incomplete:
            self._made.add(report.bucket)
        self.health.notes[report.bucket.value] = tuple(report.problems)
        if report.created or report.mended or report.problems or report.adopted:
            self._log.info(
                "bucket_ready",
                bucket=report.bucket.value,
                created=report.created,
                adopted=report.adopted,
                mended=list(report.mended),
                problems=list(report.problems),
            )


async def _nothing() -> None:
    """Nothing runs yet that could have to finish."""
