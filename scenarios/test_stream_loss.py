"""Family: the broker loses what it held. Shape 9."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept, new_buckets_start_high
from harness.checks.heal import converged_after_heal
from harness.checks.judge import Check
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.moments import held_over
from harness.checks.rebuilt import keys_rebuilt, loss_is_no_deletion, reports_back
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.broker_kill import BrokerKilled, StoreWiped
from harness.faults.bucket_loss import BucketsDeleted, BucketsPurged, BucketsRecreated
from harness.faults.disk import SMALL_DISK_BYTES, DiskFull, StoreReadOnly
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.services.gate_holds import Held
from harness.services.gate_rules import Rule
from harness.services.operator import OperatorProcess
from harness.triggers import log_said
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, edit_image, start_settled
from scenarios.worlds.looking import held, wait_refilled, wait_right

SIZE = Size(8, 4)
TAIL = 3
# An operator looks every two seconds whether a bucket holds what it should; it may have to be connected again first.
REBUILT_S = 10.0
NOTICED_S = 20.0
# The list that an informer reads, and not the look at one object that finds out about rights.
DEPLOYMENT_LIST = Rule("deployment-list", "GET", r"/deployments(\?(?!.*watch=)(?!limit=1$).*)?$")
# So long that the writes of all of them are more than what a page of the disk has left.
LONG_IMAGE = f"registry.example/{'app' * 140}:2"

Loss = Literal[
    "deleted", "recreated", "recreated-plain", "purged", "tail-purged", "killed", "wiped", "disk-full", "read-only"
]
OF_SERVER = frozenset({"killed", "wiped", "disk-full", "read-only"})
"""Nobody can do anything until these are over; the others are the operator's to mend."""
KEEPS_ALL = frozenset({"killed", "disk-full", "read-only"})


@dataclass(frozen=True, slots=True)
class StreamLoss:
    """`operator` is what it does when the loss comes; `rebuilding`: it has replayed the buckets and nothing else."""

    loss: Loss
    buckets: Sequence[Bucket] = tuple(Bucket)
    operator: Literal["up", "down", "rebuilding"] = "up"


DESIRED, STATE = (Bucket.DESIRED_STATE,), (Bucket.DEVICE_STATE,)


@cases(
    "stream-loss",
    {
        "desired-deleted": StreamLoss("deleted", DESIRED),
        "state-deleted": StreamLoss("deleted", STATE),
        "info-deleted": StreamLoss("deleted", (Bucket.DEVICE_INFO,)),
        "heartbeat-deleted": StreamLoss("deleted", (Bucket.DEVICE_HEARTBEAT,)),
        "all-deleted": StreamLoss("deleted"),
        "all-deleted-down": StreamLoss("deleted", operator="down"),
        "all-deleted-rebuilding": StreamLoss("deleted", operator="rebuilding"),
        "desired-recreated": StreamLoss("recreated", DESIRED),
        "all-recreated-plain": StreamLoss("recreated-plain"),
        "all-recreated-down": StreamLoss("recreated", operator="down"),
        "desired-recreated-rebuilding": StreamLoss("recreated", DESIRED, operator="rebuilding"),
        "desired-purged": StreamLoss("purged", DESIRED),
        "state-purged": StreamLoss("purged", STATE),
        "all-purged": StreamLoss("purged"),
        "all-purged-down": StreamLoss("purged", operator="down"),
        "desired-tail-purged": StreamLoss("tail-purged", DESIRED),
        "state-tail-purged": StreamLoss("tail-purged", STATE),
        "desired-tail-purged-rebuilding": StreamLoss("tail-purged", DESIRED, operator="rebuilding"),
        "killed": StreamLoss("killed"),
        "killed-rebuilding": StreamLoss("killed", operator="rebuilding"),
        "wiped": StreamLoss("wiped"),
        "wiped-down": StreamLoss("wiped", operator="down"),
        "wiped-rebuilding": StreamLoss("wiped", operator="rebuilding"),
        "disk-full": StreamLoss("disk-full"),
        "read-only": StreamLoss("read-only"),
        "read-only-rebuilding": StreamLoss("read-only", operator="rebuilding"),
    },
)
async def test_stream_loss(env: Environment, case: StreamLoss) -> None:
    """What the broker lost is rebuilt from the resources and by the devices, and nobody takes it for a deletion.

    SETUP   8 devices and 4 deployments, all running, every status true
    ACTION  buckets lose what they hold, or the broker goes away; the operator is up, down or rebuilding then
    ASSERT  buckets as the contract has them, every wanted key there soon, every device heard, every status true;
            no delete marker, no object gone, no deployment torn down, no crash
    """
    if case.loss == "disk-full":
        await env.nats.move_to_small_disk(SMALL_DISK_BYTES)
    operator, _ = await start_settled(env, SIZE)
    before = await held(env)
    await env.mark("before")

    lives = await Lives.before_loss(env, operator, case)
    env.step("action", f"{', '.join(case.buckets)}: {case.loss}, with the operator {case.operator}")
    loss = fault_of(env, case)
    await env.mark("struck")
    await env.strike(loss)
    operator = lives.operator
    if case.loss == "disk-full":
        env.step("action", "edit every deployment, which no bucket has room for")
        for name in SIZE.deployment_names:
            await edit_image(env, name, LONG_IMAGE)
        with still_judged():
            await log_said(env.recorder, operator.process, "desired_write_failed", NOTICED_S)
    elif case.loss in OF_SERVER and case.operator == "up":
        with still_judged():
            await wait_for("the operator to notice", lambda: None if operator.converged else True, deadline_s=NOTICED_S)
    if case.loss in OF_SERVER:
        await env.mend(loss)
    await env.mark("back")
    operator = await lives.after_loss(env)
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await wait_refilled(env, before)
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    if case.loss not in OF_SERVER:
        await env.mend(loss)
    await env.mark("settled")

    env.step("assert", "rebuilt, reported again, and nothing taken away")
    require_pass(await env.judge(*checks_of(case)))


@dataclass(frozen=True, slots=True)
class Lives:
    """An operator and what is to happen to it once the loss has come."""

    operator: OperatorProcess
    kill: Kill | None = None
    held: Held | None = None

    @classmethod
    async def before_loss(cls, env: Environment, operator: OperatorProcess, case: StreamLoss) -> "Lives":
        """Bring the operator to what it is to be doing. One that rebuilds waits for its list of Deployments."""
        if case.operator == "up":
            return cls(operator)
        kill = Kill(operator, env.start_operator)
        env.step("action", "the operator dies" + (", and is started again" if case.operator == "rebuilding" else ""))
        await env.strike(kill)
        if case.operator == "down":
            return cls(operator, kill)
        env.gate.arm(DEPLOYMENT_LIST)
        held = env.gate.hold(DEPLOYMENT_LIST, 1)
        await env.mend(kill)
        successor = started_by(kill)
        await held.reached(CONVERGE_S)

        def replayed() -> bool | None:
            sources = successor.recovery.sources if successor.recovery else {}
            return True if all(b in sources and sources[b].current for b in map(str, Bucket)) else None

        await wait_for("the buckets to be replayed", replayed, deadline_s=CONVERGE_S)
        return cls(successor, kill, held)

    async def after_loss(self, env: Environment) -> OperatorProcess:
        """Let it go on, or start it."""
        if self.held is not None:
            self.held.release()
            env.gate.disarm(DEPLOYMENT_LIST)
        elif self.kill is not None:
            await env.mend(self.kill)
            return started_by(self.kill)
        return self.operator


def started_by(kill: Kill) -> OperatorProcess:
    if kill.successor is None:
        raise AssertionError("`mend` started a successor or raised")
    return kill.successor


def fault_of(env: Environment, case: StreamLoss) -> Fault:  # noqa: PLR0911 - one return for each loss
    js = env.witnesses.buckets.client.jetstream()
    match case.loss:
        case "deleted":
            return BucketsDeleted(js, case.buckets)
        case "recreated":
            return BucketsRecreated(js, case.buckets)
        case "recreated-plain":
            return BucketsRecreated(js, case.buckets, "plain")
        case "purged":
            return BucketsPurged(js, case.buckets)
        case "tail-purged":
            return BucketsPurged(js, case.buckets, tail=TAIL)
        case "killed":
            return BrokerKilled(env.nats, js)
        case "wiped":
            return StoreWiped(env.nats, js)
        case "disk-full":
            return DiskFull(env.nats, js)
        case "read-only":
            return StoreReadOnly(env.nats, js, env.foundation.warden)


def checks_of(case: StreamLoss) -> list[Check]:
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_after_heal(CONVERGE_S),
        loss_is_no_deletion("before"),
        reports_back("before", "settled"),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
    ]
    if case.operator == "rebuilding":
        checks.append(held_over(DEPLOYMENT_LIST.name, 1, "struck"))
    if case.loss in KEEPS_ALL:
        return [*checks, buckets_kept]
    if Bucket.DESIRED_STATE in case.buckets:
        checks.append(keys_rebuilt("back", REBUILT_S))
    if not case.loss.startswith("recreated"):
        checks.append(new_buckets_start_high)
    return checks
