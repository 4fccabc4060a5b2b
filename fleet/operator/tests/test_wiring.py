"""How the parts of an operator are put together: who hears of what, and what is asked of whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from structlog.testing import capture_logs

from fleet.bus import buckets, connection
from fleet.bus.buckets import BucketReport, Identity
from fleet.bus.connection import Listener
from fleet.bus.replica import KvReplica, StreamFacts
from fleet.bus.tap import TappedClient
from fleet.errors import PeerAway
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.operator.books import BESIDE, SOURCES
from fleet.operator.deployments_last import DeploymentsLast
from fleet.operator.main import Loop, Operator
from fleet.operator.sources import BucketSource, ResourceSource
from fleet.operator.tests.peers import Broker, Kube
from fleet.operator.tests.samples import deployment, device
from fleet.operator.tests.turns import DEADLINE_S, running, turn
from fleet.settings import OperatorSettings
from fleet.wire import Bucket

FOUND = StreamFacts(created_s=0.0, broker_now_s=0.0, made=False, replaced=False)
LOOPS = {
    "deployments",
    "deployments-last",
    "devices",
    *(bucket.value for bucket in Bucket),
    "desired-writer",
    "object-writer",
    "sweeper",
    "status-ticker",
    "announcer",
    "standstill",
    "nats",
    "stop",
}


Sink = BucketSource[object] | ResourceSource[object] | DeploymentsLast


class Nats(Client):
    """A connection that takes what is published."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.published: list[tuple[str, object]] = []
        self.is_away = False

    def jetstream(self, **options: object) -> Broker:
        assert options == {"timeout": connection.REQUEST_TIMEOUT_S}
        return self.broker

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        assert not reply
        assert headers is None
        if self.is_away:
            raise ConnectionClosedError
        self.published.append((subject, json.loads(payload)))

    async def flush(self, timeout: float = 10) -> None:  # noqa: ASYNC109 - nats-py's signature
        assert timeout


class Wired:
    """An operator that has started, on peers in memory; its loops do not run."""

    def __init__(self, operator: Operator, kube: Kube, nats: Nats) -> None:
        self.operator = operator
        self.kube = kube
        self.nats = nats
        self.created: set[Bucket] = set()
        self.ensured: list[tuple[Bucket, Identity | None]] = []
        self.checked: list[Identity] = []
        self.closed: list[str] = []
        # By the connection's name.
        self.listeners: dict[str, Listener] = {}
        self.loops: Mapping[str, Loop] = {}

    def sink(self, name: str) -> Sink:
        follower: KvReplica | Informer[object]
        for follower in (*self.operator._replicas.values(), *self.operator._informers):  # type: ignore[assignment] # as above
            sink = follower._sink
            assert isinstance(sink, BucketSource | ResourceSource | DeploymentsLast)
            source = sink._source if isinstance(sink, DeploymentsLast) else sink
            if source.name == name:
                return sink
        raise LookupError(name)

    async def connect(self, url: str, *, name: str, deadline_s: float, listener: Listener, client: Client) -> Nats:
        assert (url, deadline_s, type(client)) == ("nats://u:p@h:1", 5.0, TappedClient)
        self.listeners[name] = listener
        return self.nats

    async def open(self, kubeconfig: Path | None, namespace: str, *, user_agent: str) -> Kube:
        assert (kubeconfig, namespace, user_agent) == (None, "ns", "fleet-operator")
        return self.kube

    async def ensure(self, _: Broker, bucket: Bucket, identity: Identity | None = None) -> BucketReport:
        self.ensured.append((bucket, identity))
        problems = ("it is stored in memory",) if bucket is Bucket.DEVICE_INFO else ()
        return BucketReport(bucket, created=bucket in self.created, mended=(), problems=problems)

    async def check_all(self, _: Broker, identity: Identity) -> None:
        assert not self.ensured
        self.checked.append(identity)

    async def close(self, _: Client) -> None:
        self.closed.append("nats")


@pytest.fixture
async def wired(monkeypatch: pytest.MonkeyPatch) -> Wired:
    settings = OperatorSettings(
        nats_url="nats://u:p@h:1",
        kubeconfig=None,
        namespace="ns",
        http_host="127.0.0.1",
        http_port=0,
        start_timeout_s=5.0,
        stale_after_s=90.0,
    )
    wired = Wired(Operator(settings), Kube(), Nats(Broker()))
    monkeypatch.setattr(KubeClient, "open", wired.open)
    monkeypatch.setattr(connection, "connect", wired.connect)
    monkeypatch.setattr(connection, "close", wired.close)
    monkeypatch.setattr(buckets, "ensure", wired.ensure)
    monkeypatch.setattr(buckets, "check_all", wired.check_all)
    return wired


@pytest.fixture
async def started(wired: Wired) -> AsyncIterator[Wired]:
    async with AsyncExitStack() as stack:
        wired.loops = await wired.operator._start(stack)
        yield wired


@pytest.mark.rule("R7")
async def test_a_start_checks_and_then_wires(started: Wired) -> None:
    """Rights, buckets with the identity of this cluster and namespace, then every loop; problems are shown."""
    assert started.loops.keys() == LOOPS
    identity = Identity("cluster-uid", "ns")
    assert started.checked == [identity]
    assert started.ensured == [(bucket, identity) for bucket in Bucket]
    assert started.operator.health.notes["device-info"] == ("it is stored in memory",)
    assert all(replica._identity == identity for replica in started.operator._replicas.values())


async def test_what_was_opened_is_closed(wired: Wired) -> None:
    """In the reverse order of opening."""
    async with AsyncExitStack() as stack:
        await wired.operator._start(stack)
        assert wired.closed == []
    assert wired.closed == ["nats"] * 5
    assert wired.kube.calls[-1].verb == "close"


@pytest.mark.rule("R2")
async def test_five_sources_and_one_beside(started: Wired) -> None:
    """Each has a follower of its own; the Deployments are current when all that they brought is folded."""
    async with running(started.loops["deployments-last"]()):
        for name in (*SOURCES, *BESIDE):
            assert not started.operator.recovery.converged
            sink = started.sink(name)
            sink.replay_started()
            sink.replayed()
        await turn()
        assert started.operator.recovery.converged


async def test_news_wake_every_writer(wired: Wired) -> None:
    """Once converged, the first key, finalizer and status are written without a further sign; then it can end."""
    operator, kube = wired.operator, wired.kube
    kube.put(deployment(finalizers=()), device(finalizers=()))
    async with AsyncExitStack() as stack:
        loops = await operator._start(stack)
        for replica in operator._replicas.values():
            replica.caught_up = at_once  # type: ignore[method-assign] # it does not run
        for name in ("deployments-last", "desired-writer", "object-writer", "status-ticker"):
            await stack.enter_async_context(running(loops[name]()))
        deployments, devices = wired.sink("deployments"), wired.sink("devices")
        assert isinstance(deployments, DeploymentsLast)
        assert isinstance(devices, ResourceSource)
        deployments.upsert(deployment(finalizers=()))
        devices.upsert(device(finalizers=()))
        for name in (*BESIDE, *SOURCES):
            assert (wired.nats.broker.writes, kube.verbs("patch", "patch-status")) == ([], [])
            wired.sink(name).replayed()
        await turn()
        assert {write.key for write in wired.nats.broker.writes} == {"d1.web"}
        patches = {(call.verb, call.what) for call in kube.verbs("patch", "patch-status")}
        assert patches == {
            ("patch", "deployments/web"),
            ("patch", "devices/d1"),
            ("patch-status", "deployments/web"),
        }
        async with asyncio.timeout(DEADLINE_S):
            await operator._finish()


async def at_once(deadline_s: float) -> None:
    assert deadline_s > 0


@pytest.mark.rule("S13")
async def test_caught_up_asks_every_bucket(started: Wired) -> None:
    """Each of them, and one that does not come in time fails it."""
    asked: list[float] = []

    async def note(deadline_s: float) -> None:
        asked.append(deadline_s)

    for replica in started.operator._replicas.values():
        replica.caught_up = note  # type: ignore[method-assign] # it does not run
    await started.operator._caught_up()
    assert len(asked) == len(Bucket)

    async def late(deadline_s: float) -> None:
        raise PeerAway(f"not within {deadline_s:g} s")

    started.operator._replicas[Bucket.DEVICE_INFO].caught_up = late  # type: ignore[method-assign] # as above
    with pytest.raises(PeerAway, match="not within"):
        await started.operator._caught_up()


@pytest.mark.rule("R6")
@pytest.mark.parametrize(("devices", "window_s"), [(0, 30), (60_000, 30), (100_000, 50)])
async def test_devices_are_asked_to_publish_again(started: Wired, devices: int, window_s: int) -> None:
    """On `fleet.republish`, within a window that grows with the fleet."""
    started.operator.state.devices = dict.fromkeys(map(str, range(devices)), device())  # type: ignore[arg-type] # counted alone
    sink = started.sink("device-state")
    assert isinstance(sink, BucketSource)
    sink.opened(FOUND._replace(made=True))
    sink.replayed()
    await turn()
    assert started.nats.published == [("fleet.republish", {"window_s": window_s})]


@pytest.mark.rule("R6")
async def test_buckets_that_were_missing_at_the_start_are_asked_for(wired: Wired) -> None:
    """They were lost while no operator ran: their first replay is followed by the question."""
    wired.created = {Bucket.DEVICE_STATE, Bucket.DESIRED_STATE}
    async with AsyncExitStack() as stack:
        await wired.operator._start(stack)
        for bucket in Bucket:
            sink = wired.sink(bucket.value)
            assert isinstance(sink, BucketSource)
            sink.opened(FOUND)
            sink.replayed()
        await turn()
    assert len(wired.nats.published) == 1


@pytest.mark.rule("R1")
async def test_a_lost_connection_reaches_its_replica(started: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not at the next silence."""
    told: list[KvReplica] = []

    def disconnected(replica: KvReplica) -> None:
        told.append(replica)

    monkeypatch.setattr(KvReplica, "disconnected", disconnected)
    started.listeners["fleet-operator"].lost()
    assert told == []
    for bucket in Bucket:
        started.listeners[f"fleet-operator-{bucket}"].lost()
    assert told == [started.operator._replicas[bucket] for bucket in Bucket]


@pytest.mark.rule("R8")
async def test_a_standstill_makes_every_source_doubtful(started: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are read again, buckets prove themselves; it is counted and logged."""
    rechecked: list[str] = []
    monkeypatch.setattr(KvReplica, "recheck", lambda _, reason: rechecked.append(reason))
    async with running(started.loops["deployments-last"]()):
        for name in (*SOURCES, *BESIDE):
            started.sink(name).replayed()
        await turn()
    assert started.operator.recovery.converged
    with capture_logs() as logs:
        started.operator._stood_still(5.04)
    assert rechecked == ["this process stood still for 5.0 s"] * 4
    recovery = started.operator.recovery
    assert [name for name in SOURCES if not recovery.sources[name].current] == ["deployments", "devices"]
    assert not recovery.converged
    assert [line["seconds"] for line in logs if line["event"] == "stood_still"] == [5.0]
    assert b"fleet_standstills_total 1.0" in started.operator.metrics.render(recovery)
