"""The servers that a benchmark runs on: one etcd and kube-apiserver, one nats-server per world, no fault points.

Objects are made through the API. Keys are published in batches on one connection, and the last of each batch is
acknowledged: what came before it on that connection is stored by then.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import Header
from nats.js.client import JetStreamContext

from fleet import crds
from fleet.crds import DEPLOYMENT, DEVICE
from fleet.wire import (
    Bucket,
    Owner,
    desired_key,
    heartbeat_key,
    info_key,
    kv_subject,
    state_key,
    stream_name,
)
from harness.bench.plan import Plan, desired_values, heartbeat_value, info_value, reported, state_value
from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube import KubeCluster
from harness.services.kube_answers import mapping
from harness.services.kube_client import KubeAdmin
from harness.services.nats import NatsServer
from harness.services.nats_client import close_client
from harness.services.warden import Warden
from harness.toolchain import ETCD, KUBE_APISERVER, NATS_SERVER

NEEDED = (NATS_SERVER, ETCD, KUBE_APISERVER)
_BATCH = 2000
_CREATED_AT_ONCE = 2000
_ACK_WITHIN_S = 60.0
_CONNECT_WITHIN_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers that all worlds of one run share."""

    warden: Warden
    folder: Path
    binaries: Mapping[str, Path]
    kube: KubeCluster
    admin: KubeAdmin


@asynccontextmanager
async def stage(binaries: Mapping[str, Path], say: Say) -> AsyncIterator[Stage]:
    """Everything that was started on it is gone afterwards, whatever happens (the warden sees to SIGKILL).

    Raises ServiceError.
    """
    with Warden() as warden:
        folder = warden.temp_folder("fleetproof-bench-")
        try:
            say("starting etcd and kube-apiserver")
            kube = await KubeCluster.start(
                binaries[ETCD.name], binaries[KUBE_APISERVER.name], folder / "kube", warden=warden
            )
            try:
                async with kube.admin() as admin:
                    await admin.apply_crds(crds.manifests())
                    yield Stage(warden, folder, binaries, kube, admin)
            finally:
                await kube.stop()
        finally:
            warden.remove_folder(folder)


@dataclass(frozen=True, slots=True)
class World:
    """One fleet: its namespace, its broker, and what was put into them."""

    stage: Stage
    plan: Plan
    namespace: str
    folder: Path
    nats: NatsServer
    client: Client
    js: JetStreamContext
    kubeconfig: Path

    async def owners(self) -> dict[str, Owner]:
        """Each Deployment's uid and generation, by its name."""
        found: dict[str, Owner] = {}
        for item in await self.deployments():
            metadata = mapping(item["metadata"])
            generation = metadata["generation"]
            found[str(metadata["name"])] = Owner(str(metadata["uid"]), generation if isinstance(generation, int) else 1)
        return found

    async def deployments(self) -> list[Json]:
        items, _ = await self.stage.admin.list_objects(DEPLOYMENT.plural, self.namespace)
        return items

    async def last_sequence(self, bucket: Bucket) -> int:
        """Grows with every write to the bucket."""
        return (await self.js.stream_info(stream_name(bucket))).state.last_seq

    async def message_count(self, bucket: Bucket) -> int:
        return (await self.js.stream_info(stream_name(bucket))).state.messages


@asynccontextmanager
async def world(on: Stage, plan: Plan, name: str) -> AsyncIterator[World]:
    """An empty world: a namespace and a broker without buckets."""
    folder = on.folder / name
    folder.mkdir(mode=0o700)
    nats = await NatsServer.start(on.binaries[NATS_SERVER.name], folder, warden=on.warden)
    client = Client()
    try:
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await client.connect(nats.url, name="fleetproof-bench", allow_reconnect=False)
        except (NatsError, OSError) as e:
            raise ServiceError(f"no broker at {nats.url}: {str(e) or type(e).__name__}") from e
        await on.admin.create_namespace(name)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        # With all rights: what an operator may do is not what is measured here.
        kubeconfig.write_text(on.kube.kubeconfig("admin", namespace=name))
        js = client.jetstream(timeout=_ACK_WITHIN_S)
        yield World(on, plan, name, folder, nats, client, js, kubeconfig)
    finally:
        await close_client(client)
        await nats.stop()


async def fill(here: World, say: Say) -> None:
    """Create every object and publish every key. The buckets must be there: an operator makes them."""
    plan, admin = here.plan, here.stage.admin
    began = time.monotonic()
    await admin.create_many(DEPLOYMENT.plural, here.namespace, plan.deployment_bodies())
    bodies = iter(plan.device_bodies())
    made = 0
    while batch := list(islice(bodies, _CREATED_AT_ONCE)):
        await admin.create_many(DEVICE.plural, here.namespace, batch)
        made += len(batch)
        say(f"{here.namespace}: {made} of {plan.devices} Devices created, {made / (time.monotonic() - began):.0f}/s")
    owners = await here.owners()
    began = time.monotonic()
    count = 0
    for bucket, entries in _entries(plan, owners):
        count += await publish(here, bucket, entries)
    say(f"{here.namespace}: {count} keys published, {count / (time.monotonic() - began):.0f}/s")
    for bucket, expected in expected_counts(plan).items():
        stored = await here.message_count(bucket)
        if stored != expected:
            raise ServiceError(f"bucket {bucket}: {stored} keys are stored, {expected} were published")


def expected_counts(plan: Plan) -> dict[Bucket, int]:
    """Keys per bucket of a filled world."""
    pairs = len(plan.pairs)
    return {
        Bucket.DESIRED_STATE: pairs,
        Bucket.DEVICE_STATE: pairs,
        Bucket.DEVICE_INFO: plan.devices,
        Bucket.DEVICE_HEARTBEAT: plan.devices,
    }


def _entries(plan: Plan, owners: Mapping[str, Owner]) -> Iterator[tuple[Bucket, Iterable[tuple[str, bytes]]]]:
    pairs, desired = plan.pairs, desired_values(plan, owners)
    yield Bucket.DESIRED_STATE, ((desired_key(pair), desired[pair.deployment]) for pair in pairs)
    yield (
        Bucket.DEVICE_STATE,
        (
            (state_key(pair), state_value(reported(n), owners[pair.deployment], number=n))
            for n, pair in enumerate(pairs)
        ),
    )
    yield Bucket.DEVICE_INFO, ((info_key(d), info_value(plan.labels(i))) for i, d in enumerate(plan.device_ids))
    yield Bucket.DEVICE_HEARTBEAT, ((heartbeat_key(d), heartbeat_value(1)) for d in plan.device_ids)


async def publish(here: World, bucket: Bucket, entries: Iterable[tuple[str, bytes]]) -> int:
    """Store new keys in order; how many. Raises ServiceError if the broker does not acknowledge."""
    turn = iter(entries)
    count = 0
    # As the operator and the agents write: a key that a replay brings has these headers.
    fence = {Header.EXPECTED_STREAM.value: stream_name(bucket), Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
    try:
        while batch := list(islice(turn, _BATCH)):
            for key, value in batch[:-1]:
                await here.client.publish(kv_subject(bucket, key), value, headers=fence)
            key, value = batch[-1]
            await here.js.publish(kv_subject(bucket, key), value, headers=fence)
            count += len(batch)
    except (NatsError, TimeoutError) as e:
        raise ServiceError(f"bucket {bucket}: the broker did not store what was published: {e!r}") from e
    return count
