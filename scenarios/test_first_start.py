"""Family: the first start, in a world that is not as the operator left it. Shape 15."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept, new_buckets_start_high
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit
from harness.checks.naming import complains_of, refused_to_start
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.bucket_loss import BucketsRecreated
from harness.faults.buckets import BucketOtherwise, BucketsMissing
from harness.faults.fault import Fault
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, create, start_settled, wait_status_true

SIZE = Size(8, 4)
# The exit code of an operator that a peer refused.
REFUSED = 3


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


@cases("missing-buckets", {"made-in-memory": Bucket.DEVICE_STATE})
async def test_bucket_made_worse(env: Environment, case: Bucket) -> None:
    """A setting that nobody can change is put up with, and complained of.

    SETUP   8 devices and 4 deployments as resources; one bucket that somebody made in memory
    ACTION  start operator and devices
    ASSERT  the operator names the bucket and what is wrong with it; the fleet runs, and the bucket is kept
    """
    env.step("setup", f"{SIZE.devices} devices, {SIZE.deployments} deployments, {case} in memory")
    await create(env, SIZE)
    await env.strike(BucketOtherwise(env.witnesses.buckets.client.jetstream(), case, "memory"))
    await env.mark("start")
    operator = await env.start_operator()
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        devices = await env.start_devices(SIZE.device_names)
        await devices.wait_ready()
        await wait_status_true(env, SETTLE_S)
    await operator.process.wait_log(f"bucket {case} is stored in memory, not in file", since=0, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "it was named, and the fleet runs")
    require_pass(
        await env.judge(
            faults_bit,
            no_unexpected_exit,
            converged_in_time("start", CONVERGE_S),
            buckets_honour_contract,
            buckets_kept,
            wanted_keys_present,
            status_true,
        )
    )


@cases("missing-buckets", {"other-subjects": Bucket.DEVICE_STATE, "other-subjects-desired": Bucket.DESIRED_STATE})
async def test_bucket_of_another_program(env: Environment, case: Bucket) -> None:
    """A stream of that name which is no bucket of ours is left alone, and the operator refuses to start.

    SETUP   8 devices and 4 deployments as resources; another program's stream with the name of a bucket
    ACTION  start the operator
    ASSERT  it ends with code 3 and the reason; the stream is as it was, no key was written
    """
    await create(env, SIZE)
    stranger = BucketOtherwise(env.witnesses.buckets.client.jetstream(), case, "other-subjects")
    await env.strike(stranger)
    await env.mark("start")
    operator = await env.start_operator()
    with still_judged():
        await operator.process.wait_exit(CONVERGE_S)
    await env.mark("settled")

    env.step("assert", "it refused, in words")
    require_pass(await env.judge(faults_bit, refused_to_start(REFUSED, "another program uses the name"), buckets_kept))


@cases(
    "missing-buckets",
    {"other-subjects-while-up": Bucket.DEVICE_STATE, "info-other-subjects-while-up": Bucket.DEVICE_INFO},
)
async def test_bucket_taken_by_another_program(env: Environment, case: Bucket) -> None:
    """Another program takes the name of a bucket while the operator is up: it says so, and goes on once that is over.

    SETUP   8 devices and 4 deployments, all running
    ACTION  a bucket is deleted and a stream of another program made in its place; later that is deleted again
    ASSERT  the operator lives on, and names the bucket; in the end the bucket is back, and every key and status right
    """
    operator, _ = await start_settled(env, SIZE)
    js = env.witnesses.buckets.client.jetstream()
    env.step("action", f"another program takes the name of {case}")
    await env.strike(BucketsRecreated(js, [case], "other-subjects"))
    complaint = complains_of(case.value, "another program uses the name")

    async def told() -> bool | None:
        return True if complaint(env.recorder.history()).outcome == "pass" else None

    with still_judged():
        await wait_for(f"the operator to complain of {case}", told, deadline_s=SETTLE_S, interval_s=0.1)
    await env.mark("told")
    env.step("action", "it gives the name back")
    missing = BucketsMissing(js, [case])
    await missing.apply()
    with still_judged():
        await wait_for("the bucket to be there", missing.prove_healed, deadline_s=SETTLE_S)
        await operator.wait_converged(CONVERGE_S)
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "it was named while it lasted, and all is right afterwards")
    require_pass(
        await env.judge(
            faults_bit, no_unexpected_exit, complaint, buckets_honour_contract, wanted_keys_present, status_true
        )
    )
