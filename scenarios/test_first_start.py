"""Family: the first start, in a world that is not as the operator left it. Shape 15."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept, new_buckets_start_high
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.buckets import BucketOtherwise, BucketsMissing
from harness.faults.fault import Fault
from scenarios.cases import cases, require_pass, still_judged
from scenarios.fleet_world import CONVERGE_S, SETTLE_S, Size, create, start_settled, wait_status_true

SIZE = Size(8, 4)


@dataclass(frozen=True, slots=True)
class FirstStart:
    devices_first: bool = False
    made_otherwise: Sequence[Bucket] = ()


@cases(
    "missing-buckets",
    {
        "operator-first": FirstStart(),
        "devices-first": FirstStart(devices_first=True),
        "made-otherwise": FirstStart(made_otherwise=(Bucket.DESIRED_STATE, Bucket.DEVICE_STATE)),
        "made-otherwise-devices-first": FirstStart(devices_first=True, made_otherwise=(Bucket.DESIRED_STATE,)),
    },
)
async def test_missing_buckets(env: Environment, case: FirstStart) -> None:
    """Whoever starts first and whatever buckets there are, the same world comes of it.

    SETUP   8 devices and 4 deployments as resources; a broker without buckets, or with some made otherwise
    ACTION  start operator and devices, in either order
    ASSERT  every bucket is there and as the contract has it; none was replaced; every key and status is right
    """
    env.step("setup", f"{SIZE.devices} devices, {SIZE.deployments} deployments, a broker the operator never saw")
    await create(env, SIZE)
    js = env.witnesses.buckets.client.jetstream()
    missing = BucketsMissing(js, [bucket for bucket in Bucket if bucket not in case.made_otherwise])
    otherwise = [BucketOtherwise(js, bucket) for bucket in case.made_otherwise]
    faults: list[Fault] = [missing, *otherwise]
    for fault in faults:
        await env.strike(fault)

    await env.mark("start")
    if case.devices_first:
        env.step("action", "devices first, then the operator")
        devices = await env.start_devices(SIZE.device_names)
        operator = await env.start_operator()
    else:
        env.step("action", "the operator first, then the devices")
        operator = await env.start_operator()
        with still_judged():
            await operator.wait_converged(CONVERGE_S)
        devices = await env.start_devices(SIZE.device_names)
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await devices.wait_ready()
        await wait_status_true(env, SETTLE_S)
    for fault in faults:
        await env.mend(fault)
    await env.mark("settled")

    env.step("assert", "the buckets honour the contract and the fleet runs")
    checks: list[Check] = [
        faults_bit,
        no_unexpected_exit,
        converged_in_time("start", CONVERGE_S),
        buckets_honour_contract,
        buckets_kept,
        wanted_keys_present,
        status_true,
    ]
    if not case.made_otherwise:
        checks.append(new_buckets_start_high)
    require_pass(await env.judge(*checks))


@cases(
    "missing-buckets",
    {
        "restart-device-info-gone": Bucket.DEVICE_INFO,
        "restart-heartbeat-gone": Bucket.DEVICE_HEARTBEAT,
    },
)
async def test_bucket_gone_at_restart(env: Environment, case: Bucket) -> None:
    """A bucket that is gone when the operator starts again is made again; the others keep what they hold.

    SETUP   8 devices and 4 deployments, all running
    ACTION  stop the operator; delete one bucket; start the operator again
    ASSERT  the bucket is there and as the contract has it; every key and status is right
    """
    operator, _ = await start_settled(env, SIZE)
    env.step("action", f"stop the operator, delete the bucket {case}, start it again")
    await operator.process.stop()
    await env.mark("start")
    missing = BucketsMissing(env.witnesses.buckets.client.jetstream(), [case])
    await env.strike(missing)
    operator = await env.start_operator()
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await wait_status_true(env, SETTLE_S)
    await env.mend(missing)
    await env.mark("settled")

    env.step("assert", "the bucket is back, the others were left alone")
    require_pass(
        await env.judge(
            faults_bit,
            no_unexpected_exit,
            converged_in_time("start", CONVERGE_S),
            buckets_honour_contract,
            new_buckets_start_high,
            wanted_keys_present,
            status_true,
        )
    )
