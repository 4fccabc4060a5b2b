"""Family: what an agent is told. Shape R9: the broker loses desired-state, and that is no deletion."""

from dataclasses import dataclass
from typing import Literal

import pytest

from fleet.wire import Bucket, Phase
from harness.checks.containers import runs_as_desired, untouched
from harness.checks.judge import Check
from harness.checks.leftovers import torn_down
from harness.checks.life import faults_bit
from harness.checks.rebuilt import reports_back
from harness.checks.reporting import ids_reported, reported
from harness.env import Environment
from harness.faults.broker_kill import BrokerKilled, StoreWiped
from harness.faults.bucket_loss import BucketsDeleted, BucketsPurged, BucketsRecreated
from harness.faults.cut import Cut
from harness.faults.fault import Fault
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, payload, sound
from scenarios.worlds.agent_orders import (
    APP_SLOTS,
    NEEDS,
    OTHER,
    OTHER_SLOT,
    PROBE,
    start_two,
    tear_down_seen,
    unstored,
    wait_said_again,
)

Loss = Literal["deleted", "recreated", "purged", "wiped", "killed"]
MISSED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Absent:
    """`of` are the buckets; `restarted`: the agent begins anew, from its disk, while they are as they are."""

    loss: Loss
    of: tuple[Bucket, ...] = (Bucket.DESIRED_STATE,)
    restarted: bool = False
    needs: tuple[str, ...] = NEEDS


@pytest.mark.rule("A16")
@cases(
    "desired-deleted",
    {
        "bucket-deleted": Absent("deleted"),
        "bucket-deleted-restarted": Absent("deleted", restarted=True),
        "bucket-recreated": Absent("recreated"),
        "bucket-recreated-restarted": Absent("recreated", restarted=True),
        "bucket-emptied": Absent("purged"),
        "bucket-emptied-restarted": Absent("purged", restarted=True),
        "all-buckets-deleted": Absent("deleted", tuple(Bucket)),
        "storage-wiped": Absent("wiped", tuple(Bucket)),
        "storage-wiped-restarted": Absent("wiped", tuple(Bucket), restarted=True),
        "server-killed": Absent("killed"),
        "server-killed-restarted": Absent("killed", restarted=True),
    },
)
async def test_absence(env: Environment, case: Absent) -> None:
    """What the bucket does not hold any more runs on untouched, and a marker that comes later is obeyed.

    SETUP   one device, two deployments, both running
    ACTION  the bucket is deleted, made again, purged, its storage wiped, or its server killed; a marker is told that
            nobody stored, where there is no bucket; the agent loses its link, or its life; meanwhile the bucket is
            there again, and holds nothing but a new deployment, which the agent finds by reading it. Then a marker for
            one of the two deployments is stored
    ASSERT  no container event until the marker; then exactly that deployment is torn down
    """
    fleet, _ = await start_two(env)
    await env.mark("struck")
    env.step("action", f"{', '.join(case.of)}: {case.loss}")
    loss = fault_of(env, case)
    await env.strike(loss)
    agent = fleet.device.agent
    if case.loss == "deleted":
        # Nobody can confirm it now.
        await env.strike(unstored(env, None, "told"))
        with still_judged():
            await agent.wait_log("desired_unconfirmed", since=0, deadline_s=MISSED_WITHIN_S)
    cut = Cut(env.links.devices_nats)
    await env.strike(cut)
    if case.restarted:
        await agent.kill()
        await fleet.device.start_agent({"FLEET_TICK_S": "0.2"})
    if case.loss in {"wiped", "killed"}:
        await env.mend(loss)
    if case.loss in {"deleted", "wiped"}:
        await fleet.orders.make_buckets(*case.of)
    probe = await fleet.put([payload()], deployment=PROBE)
    env.step("action", "the agent reads the bucket, and finds a new deployment in it")
    await env.mend(cut)
    with still_judged():
        await fleet.told(Phase.RUNNING, probe, deployment=PROBE)
    await env.mark("read")

    env.step("action", f"a marker for {APP} is stored")
    await fleet.orders.delete(DEVICE, APP)
    with still_judged():
        await tear_down_seen(env, fleet)
        await wait_said_again(env, OTHER)
    await env.mark("settled")

    env.step("assert", f"nothing was touched before the marker, and {APP} is gone after it")
    checks: list[Check] = [
        *sound(),
        faults_bit,
        untouched("struck", "read", (*APP_SLOTS, OTHER_SLOT)),
        untouched("struck", "settled", (OTHER_SLOT,)),
        reported(DEVICE, PROBE, Phase.RUNNING),
        reported(DEVICE, OTHER, Phase.RUNNING),
        torn_down(DEVICE, APP),
        runs_as_desired(DEVICE),
        ids_reported(DEVICE),
    ]
    if Bucket.DEVICE_STATE in case.of:
        checks.append(reports_back("struck", "settled"))
    require_pass(await env.judge(*checks))


def fault_of(env: Environment, case: Absent) -> Fault:
    js = env.witnesses.buckets.client.jetstream()
    match case.loss:
        case "deleted":
            return BucketsDeleted(js, case.of)
        case "recreated":
            return BucketsRecreated(js, case.of)
        case "purged":
            return BucketsPurged(js, case.of)
        case "wiped":
            return StoreWiped(env.nats, js)
        case "killed":
            return BrokerKilled(env.nats, js)
