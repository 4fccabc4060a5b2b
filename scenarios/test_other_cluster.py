"""Family: the world is not the one that the operator knows. W3, where it is somebody else's."""

from dataclasses import dataclass
from typing import Literal, cast

import pytest

from fleet import crds
from fleet.crds import DEPLOYMENT
from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.checks.wrong_world import fleet_kept, nothing_written, refusal_told
from harness.env import Environment
from harness.env.rights import grant
from harness.faults.buckets import BucketsMissing
from harness.faults.etcd_replaced import EtcdReplaced
from harness.faults.manifests import Manifests
from harness.faults.other_cluster import OtherCluster, Place
from harness.history.records import Json
from harness.services.kube_client import KubeAdmin
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    deployment_body,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.looking import started, stopped

SMALL = Size(8, 4)
TOLD_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Stranger:
    """`world` is what the stranger's cluster or namespace holds: nothing, or our names with other images."""

    world: Literal["empty", "same-names"] = "same-names"
    same_cluster: bool = False
    beside: bool = False
    missing: Bucket | None = None


@cases(
    "other-cluster",
    {
        "empty": Stranger("empty"),
        "same-names": Stranger(),
        "other-namespace": Stranger(same_cluster=True),
        "beside-the-right-one": Stranger(beside=True),
        "bucket-missing": Stranger(same_cluster=True, missing=Bucket.DESIRED_STATE),
    },
)
async def test_other_cluster(env: Environment, case: Stranger) -> None:
    """An operator that serves another place writes nothing into these buckets, and says whose they are.

    SETUP   devices and deployments, all running; another place with its own objects
    ACTION  start an operator for that place, with the right one stopped or beside it; end it; start the right one
    ASSERT  nothing was written and it was said whose the buckets are; the right operator finds its world unchanged
    """
    operator, _ = await start_settled(env, SMALL)
    foundation = env.foundation if case.same_cluster else await env.another_cluster()
    namespace = await env.another_namespace(foundation)
    if case.world == "same-names":
        await other_images(await Manifests.of(env.foundation.admin, env.namespace), foundation.admin, namespace).apply()
    right, wrong = Place(env.foundation.admin, env.namespace), Place(foundation.admin, namespace)
    if not case.beside:
        await stopped(operator)
    lost = [] if case.missing is None else [BucketsMissing(env.witnesses.buckets.client.jetstream(), [case.missing])]
    for fault in lost:
        await env.strike(fault)
    await env.mark("wrong")

    env.step("action", f"start an operator for {'another namespace' if case.same_cluster else 'another cluster'}")
    other = OtherCluster(right, wrong, lambda: env.start_stranger(foundation, namespace))
    await env.strike(other)
    with still_judged():
        await stranger_settled(other)
    await env.mend(other)
    await env.mark("told")

    env.step("action", "start the right operator" if not case.beside else "go on with the right operator")
    with still_judged():
        if not case.beside:
            operator = await started(env)
        await wait_status_true(env, SETTLE_S)
    for fault in lost:
        await env.mend(fault)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "not one write by the stranger, and the fleet as it was")
    unchanged = [fleet_kept("wrong", "settled"), no_writes("wrong", "settled"), buckets_kept]
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            nothing_written("wrong", "told"),
            refusal_told("wrong", "told", *await right.identity()),
            *(unchanged if case.missing is None else ()),
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
        )
    )


async def stranger_settled(other: OtherCluster) -> None:
    """Until it has ended, or has had the time to write what it would."""
    if other.stranger is None:
        return
    stranger = other.stranger.process
    await wait_for("the stranger to end", lambda: None if stranger.running else True, deadline_s=TOLD_WITHIN_S)


def other_images(manifests: Manifests, admin: KubeAdmin, namespace: str) -> Manifests:
    """The same names in another place, where another image is asked for."""
    specs = dict(manifests.specs)
    for name, spec in specs.items():
        if name[0] == DEPLOYMENT.plural:
            body = deployment_body(name[1], 0, "registry.example/stranger:1")
            specs[name] = {**cast("Json", body["spec"]), "targetSelector": cast("Json", spec)["targetSelector"]}
    return Manifests(admin, namespace, specs)


@pytest.mark.own_cluster
@cases("other-cluster", {"replaced-while-up": SMALL})
async def test_cluster_replaced(env: Environment, case: Size) -> None:
    """A cluster that another one has taken the place of is not served, also by an operator that runs on.

    SETUP   devices and deployments, all running
    ACTION  start the API server on a store set up anew, with the same names in it; then put the right store back
    ASSERT  nothing was written and it was said whose the buckets are; then the world is as it was
    """
    operator, _ = await start_settled(env, case)
    right = Place(env.foundation.admin, env.namespace)
    identity = await right.identity()
    strange = other_images(await Manifests.of(right.admin, env.namespace), right.admin, env.namespace)

    async def furnish() -> None:
        await right.admin.apply_crds(crds.manifests())
        await right.admin.create_namespace(env.namespace)
        await grant(right.admin, env.namespace)
        await strange.apply()

    await env.mark("wrong")
    env.step("action", "set the store up anew, with the same names and other images")
    replaced = EtcdReplaced(env.foundation.kube, env.foundation.admin, furnish)
    await env.strike(replaced)
    with still_judged():
        await wait_refused(operator, identity[0])
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("told")

    env.step("action", "put the right store back")
    await env.mend(replaced)
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "nothing was written for the other cluster, and the fleet is as it was")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            nothing_written("wrong", "told"),
            refusal_told("wrong", "told", *identity),
            fleet_kept("wrong", "settled"),
            no_writes("wrong", "settled"),
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
        )
    )


async def wait_refused(operator: OperatorProcess, cluster: str) -> None:
    """Until it says at /recovery whose the buckets are."""

    def refused() -> bool | None:
        sources = () if operator.recovery is None else operator.recovery.sources.values()
        return True if any(cluster in (source.trouble or "") for source in sources) else None

    await wait_for("the operator to say whose the buckets are", refused, deadline_s=TOLD_WITHIN_S)
