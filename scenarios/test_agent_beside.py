"""Shapes 4, 9 and 12 once more, with a real agent and real containers where the other cases have scripted devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.crds import DEPLOYMENT
from fleet.wire import Bucket, Phase, desired_key, kv_subject, stream_name
from harness.checks.container_lives import lives
from harness.checks.containers import runs_as_desired, untouched
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.difference import held_by_brake
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.leftovers import said_why, torn_down
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.objects import objects_kept
from harness.checks.rebuilt import keys_rebuilt, loss_is_no_deletion, reports_back
from harness.checks.reporting import ids_reported, reported, reports_up_to_date
from harness.checks.rewritten import rewritten_once
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.env.device import Device
from harness.faults.broker_kill import BrokerKilled, StoreWiped
from harness.faults.bucket_loss import BucketsDeleted, BucketsPurged, BucketsRecreated
from harness.faults.cut import Cut
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.faults.malformed import by_itself
from harness.services.operator import OperatorProcess
from harness.services.payload_images import image
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, sound, wait_reported
from scenarios.worlds.agent_fleet import GROUP, start_agents, wait_fleet
from scenarios.worlds.agent_orders import NEEDS, OTHER, OTHER_SLOT, look_at_disk, pair
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, deployment_body, device_body, start_again
from scenarios.worlds.looking import approve_when_held, held, wait_devices, wait_refilled, without_finalizer
from scenarios.worlds.odd_entries import by_hand
from scenarios.worlds.payloads import DESIRED, MALFORMED_DESIRED

SLOTS = (f"{APP}/main", OTHER_SLOT)
REBUILT_S = 15.0
# A connection and a read take milliseconds.
READ_S = 0.5


def deployment(name: str) -> dict[str, object]:
    """Of all devices of the group, with one service of a payload image."""
    body = deployment_body(name, 0)
    services = [{"name": "main", "image": image("v1"), "command": ["/bin/payload", "sleep"]}]
    body["spec"] = {
        "targetSelector": {"matchLabels": GROUP},
        "lifecycle": {"gracePeriodSecs": 2},
        "services": services,
    }
    return body


async def start_world(env: Environment) -> tuple[OperatorProcess, Device]:
    """An operator, one device with a real agent, and two Deployments, both of them running there."""
    env.step("setup", "an operator, one device with a real agent, two deployments, both of them running")
    admin = env.foundation.admin
    device = device_body(DEVICE, 0)
    device["spec"] = {"labels": GROUP}
    await admin.create("devices", env.namespace, device)
    await admin.create_many(DEPLOYMENT.plural, env.namespace, [deployment(name) for name in (APP, OTHER)])
    operator = await env.start_operator()
    started = await start_agents(env, {DEVICE: {}})
    await operator.wait_converged(CONVERGE_S)
    await wait_devices(env, 1)
    await wait_fleet(env, [DEVICE])
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, started[DEVICE]


@dataclass(frozen=True, slots=True)
class Gone:
    """Which Deployments go; by `force` nobody waits for the finalizer. `held`: the brake has to hold the sweep."""

    names: Sequence[str] = (APP,)
    force: bool = False
    held: bool = False
    needs: tuple[str, ...] = NEEDS


@cases(
    "deployment-deleted-while-down",
    {
        "finalizer-agent": Gone(),
        "force-agent": Gone(force=True),
        "force-all-held-agent": Gone((APP, OTHER), force=True, held=True),
    },
)
async def test_deleted_while_down(env: Environment, case: Gone) -> None:
    """What a Deployment left behind on a device goes with it, and nothing else does; what is held runs on.

    SETUP   an operator, one device with a real agent, two deployments, both running
    ACTION  the operator is killed; deployments are deleted, with the finalizer pending or by force; it is started
            again; a sweep that it holds is approved after a while
    ASSERT  containers, reports and files of what was deleted are gone, of nothing else; none before the approval
    """
    operator, device = await start_world(env)
    kill = Kill(operator, env.start_operator)
    await env.mark("down")
    env.step("action", f"the operator is killed; {', '.join(case.names)} deleted{' by force' if case.force else ''}")
    await env.strike(kill)
    for name in case.names:
        if case.force:
            await without_finalizer(env, DEPLOYMENT.plural, name)
        else:
            await env.foundation.admin.delete(DEPLOYMENT.plural, env.namespace, name)
    operator = await start_again(env, kill)
    if case.held:
        await approve_when_held(env, operator)
    with still_judged():
        await wait_fleet(env, [DEVICE])
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    for name in case.names:
        await look_at_disk(env, device, name)
    await env.mark("settled")

    env.step("assert", "what was deleted is torn down, and nothing else")
    checks: list[Check] = [
        *sound(),
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_in_time("down", CONVERGE_S),
        objects_kept,
        wanted_keys_present,
        deletes_justified,
        runs_as_desired(DEVICE),
        ids_reported(DEVICE),
        *(torn_down(DEVICE, name) for name in case.names),
    ]
    if OTHER not in case.names:
        checks += [status_true, untouched("down", "settled", (OTHER_SLOT,))]
    if case.held:
        checks += [held_by_brake("down", "approved", "settled", 2), untouched("down", "approved", SLOTS)]
    require_pass(await env.judge(*checks))


@dataclass(frozen=True, slots=True)
class Lost:
    """`down`: no operator is there until the agent has read what is left of the buckets."""

    loss: Literal["deleted", "recreated", "purged", "killed", "wiped"]
    buckets: tuple[Bucket, ...] = tuple(Bucket)
    down: bool = False
    needs: tuple[str, ...] = NEEDS


@cases(
    "stream-loss",
    {
        "all-deleted-agent": Lost("deleted"),
        "desired-recreated-agent": Lost("recreated", (Bucket.DESIRED_STATE,)),
        "all-purged-agent": Lost("purged"),
        "all-purged-down-agent": Lost("purged", down=True),
        "killed-agent": Lost("killed"),
        "wiped-agent": Lost("wiped"),
        "wiped-down-agent": Lost("wiped", down=True),
    },
)
async def test_stream_loss(env: Environment, case: Lost) -> None:
    """The broker loses what it held, and no container of a device comes to know.

    SETUP   an operator, one device with a real agent, two deployments, both running
    ACTION  buckets are deleted, made again by somebody, purged, or the server dies, with its store or without; the
            operator is up, or down until the agent has come back to a broker that holds nothing
    ASSERT  no container event; the keys are written again, the device says again what it had said, status is true
    """
    operator, device = await start_world(env)
    kill = Kill(operator, env.start_operator)
    before = await held(env)
    await env.mark("before")
    if case.down:
        await env.strike(kill)
    env.step("action", f"{', '.join(case.buckets)}: {case.loss}, the operator {'down' if case.down else 'up'}")
    loss = loss_of(env, case)
    await env.strike(loss)
    if case.loss in {"killed", "wiped"}:
        await env.mend(loss)
    if case.down:
        await read_again(env, device)
    await env.mark("back")
    operator = await start_again(env, kill) if case.down else operator
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await wait_refilled(env, before)
        await wait_fleet(env, [DEVICE])
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    if case.loss not in {"killed", "wiped"}:
        await env.mend(loss)
    await env.mark("settled")

    env.step("assert", "rebuilt, reported again, and nothing touched")
    checks: list[Check] = [
        *sound(),
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        untouched("before", "settled", SLOTS),
        loss_is_no_deletion("before"),
        reports_back("before", "settled"),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        runs_as_desired(DEVICE),
        ids_reported(DEVICE),
        reports_up_to_date(DEVICE),
    ]
    if case.loss != "killed":
        checks.append(keys_rebuilt("back", REBUILT_S))
    require_pass(await env.judge(*checks))


async def read_again(env: Environment, device: Device) -> None:
    """The agent loses its connection and gets it back; then it reads what is stored for it."""
    cut, since = Cut(env.links.devices_nats), device.agent.log_mark()
    await env.strike(cut)
    await env.mend(cut)
    with still_judged():
        await device.agent.wait_log("nats_connected", since=since, deadline_s=SETTLE_S)
    await env.wait_quiet(READ_S, deadline_s=SETTLE_S)


def loss_of(env: Environment, case: Lost) -> Fault:
    js = env.witnesses.buckets.client.jetstream()
    match case.loss:
        case "deleted":
            return BucketsDeleted(js, case.buckets)
        case "recreated":
            return BucketsRecreated(js, case.buckets)
        case "purged":
            return BucketsPurged(js, case.buckets)
        case "killed":
            return BrokerKilled(env.nats, js)
        case "wiped":
            return StoreWiped(env.nats, js)


@dataclass(frozen=True, slots=True)
class ByHand:
    kind: str
    down: bool = False
    needs: tuple[str, ...] = NEEDS

    @property
    def refused(self) -> bool:
        return self.kind in MALFORMED_DESIRED


@cases(
    "malformed-desired-state",
    {
        "garbage-agent": ByHand("garbage"),
        "unknown-field-agent": ByHand("unknown-field"),
        "image-edited-agent": ByHand("image-edited"),
        "garbage-down-agent": ByHand("garbage", down=True),
        "one-megabyte-down-agent": ByHand("one-megabyte", down=True),
        "image-edited-down-agent": ByHand("image-edited", down=True),
    },
)
async def test_malformed_desired(env: Environment, case: ByHand) -> None:
    """What somebody wrote over a device's desired state is put right once, and the device says what it made of it.

    SETUP   an operator, one device with a real agent, two deployments, both running; or the operator is dead by now
    ACTION  a value of one of them is written by hand: one that nobody understands, or with another image
    ASSERT  one write puts it right; in the end everything runs as wanted, and status is true. What nobody understands
            touches no container, and is reported as refused while it stands
    """
    operator, _ = await start_world(env)
    kill = Kill(operator, env.start_operator)
    await env.mark("struck")
    if case.down:
        await env.strike(kill)
    key = desired_key(pair())
    good = await stored(env, key)
    value = good.replace(image("v1").encode(), image("v2").encode()) if not case.refused else DESIRED[case.kind](good)
    env.step("action", f"{key} is written by hand: {case.kind}")
    fault = by_hand(env, Bucket.DESIRED_STATE, {key: value}, cure=by_itself)
    await env.strike(fault)
    if case.down:
        with still_judged():
            await wait_obeyed(env, case)
        await env.mark("obeyed")
        await start_again(env, kill)
    with still_judged():
        await wait_fleet(env, [DEVICE])
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mend(fault)
    await env.mark("settled")

    env.step("assert", "put right by one write, and nothing else was touched")
    checks: list[Check] = [
        *sound(),
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        rewritten_once("struck", "settled"),
        wanted_keys_present,
        status_true,
        buckets_kept,
        untouched("struck", "settled", SLOTS if case.refused else (OTHER_SLOT,)),
        runs_as_desired(DEVICE),
        ids_reported(DEVICE),
        reports_up_to_date(DEVICE),
        reported(DEVICE, APP, Phase.RUNNING),
    ]
    if case.down and case.refused:
        checks.append(said_why(DEVICE, APP, "DesiredRefused", "struck", "obeyed", kept=True))
    require_pass(await env.judge(*checks))


async def stored(env: Environment, key: str) -> bytes:
    js = env.witnesses.buckets.client.jetstream()
    message = await js.get_last_msg(stream_name(Bucket.DESIRED_STATE), kv_subject(Bucket.DESIRED_STATE, key))
    return message.data or b""


async def wait_obeyed(env: Environment, case: ByHand) -> None:
    """While no operator is there: refused, or run as it was written."""

    def runs_edited() -> bool | None:
        there = [life for life in lives(env.recorder.history()) if life.slot.deployment == APP and life.running]
        return True if [life.image for life in there] == [image("v2")] else None

    if case.refused:
        await wait_reported(env, DEVICE, APP, Phase.FAILED, reason="DesiredRefused")
    else:
        await wait_for(f"{APP} to run {image('v2')}", runs_edited, deadline_s=SETTLE_S)
