"""Family: two operators at once, as during every rolling update. Shape 7, its moments one by one."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from harness.checks.contract import buckets_honour_contract, buckets_kept, new_buckets_start_high
from harness.checks.flow import status_never_back
from harness.checks.identical import writes_byte_identical
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified, no_wanted_key_absent
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.objects import objects_kept
from harness.checks.status import status_true
from harness.checks.writes import (
    exactly_one_write_each,
    no_patches,
    no_writes,
    status_unchanged,
    wanted_keys_present,
)
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.latency import Latency
from harness.services.operator import OperatorProcess
from harness.services.toxiproxy import Proxy
from harness.triggers import kv_write
from harness.wait import end_tasks, wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.mutations import Mutator, approve_sweeps, plan_mutations
from scenarios.worlds.steady import all_running, create_steady, report_in_turn, start_pending

SIZE = Size(8, 4)
# One Deployment: the broker's count of writes is then the count of its keys.
ONE = Size(32, 1)
MUTATING_S = 2.0
RATE_PER_S = 8.0
ABSENT_S_MAX = 5.0
WRITES_BEFORE_END = 8
LATENCY_MS = 150
# Longer than the two operators can be apart in reading the same change on a busy machine: whichever is the later one
# then decides before it hears what the other has written.
BEHIND_MS = 1000


@cases("two-operators", {"overlap-unchanged": 2, "overlap-of-three": 3})
async def test_overlap_unchanged(env: Environment, case: int) -> None:
    """Another operator in an unchanged world has nothing to say, however many there are.

    SETUP   8 devices and 4 deployments, all running under one operator
    ACTION  start the others beside it
    ASSERT  0 desired-state writes, 0 status patches, status bytes the same
    """
    await start_settled(env, SIZE)
    env.step("action", f"{case - 1} more operators beside it")
    await env.mark("overlap")
    others = [await env.start_operator() for _ in range(case - 1)]
    with still_judged():
        for other in others:
            await other.wait_converged(CONVERGE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "nobody wrote")
    require_pass(
        await env.judge(
            operator_worked,
            no_unexpected_exit,
            converged_in_time("overlap", CONVERGE_S),
            no_writes("overlap", "settled"),
            no_patches("overlap", "settled"),
            status_unchanged("overlap", "settled"),
            wanted_keys_present,
            status_true,
            buckets_kept,
        )
    )


@dataclass(frozen=True, slots=True)
class Together:
    """The first operator is killed among the writes; both links get slow by `latency_ms` before them."""

    killed: bool = False
    latency_ms: int = 0


@cases(
    "two-operators",
    {
        "both-at-once": Together(),
        "both-at-once-killed": Together(killed=True),
        "both-at-once-both-behind": Together(latency_ms=BEHIND_MS),
    },
)
async def test_both_at_once(env: Environment, case: Together) -> None:
    """Two operators that start at once on a broker without buckets make one world of it, and write each key once.

    SETUP   an empty broker, no objects; two operators start in the same instant
    ACTION  32 devices and a deployment for 8 of them come; in one case the first operator is killed at the 3rd write,
            in one both hear late of what is stored
    ASSERT  buckets made once, each of the 8 keys written exactly once, in the same bytes, and every status right
    """
    env.step("setup", "two operators at once on an empty broker")
    async with second_link(env) as link:
        await env.mark("start")
        first, second = await asyncio.gather(env.start_operator(), env.start_operator(through(link)))
        with still_judged():
            await first.wait_converged(CONVERGE_S)
            await second.wait_converged(CONVERGE_S)
        slow = [Latency(each, case.latency_ms) for each in (link, env.links.operator_nats) if case.latency_ms]
        for fault in slow:
            await env.strike(fault)

        env.step("action", f"{ONE.devices} devices and one deployment come")
        await env.mark("create")
        third_write = kv_write(env.recorder, 3)
        await create(env, ONE)
        if case.killed:
            await third_write.fired(SETTLE_S)
            kill = Kill(first, lambda: _there(second))
            await env.strike(kill)
            await env.mend(kill)
        third_write.close()
        devices = await env.start_devices(ONE.device_names)
        await devices.wait_ready()
        with still_judged():
            await wait_status_true(env, SETTLE_S)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
        for fault in slow:
            await env.mend(fault)
        await env.mark("settled")

        env.step("assert", "one world, each key written once")
        checks: list[Check] = [
            no_unexpected_exit,
            converged_in_time("start", CONVERGE_S),
            exactly_one_write_each("create", "settled", ONE.deployment_names[0], ONE.selected(0)),
            writes_byte_identical,
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
            new_buckets_start_high,
        ]
        if case.killed or case.latency_ms:
            checks.append(faults_bit)
        require_pass(await env.judge(*checks))


@dataclass(frozen=True, slots=True)
class Handover:
    """`ends` is how the first operator ends under the edits, if it does; the second's link is slow by `latency_ms`."""

    seed: int
    ends: signal.Signals | None = None
    latency_ms: int = 0


@cases(
    "two-operators",
    {
        "killed-under-mutation": Handover(seed=33, ends=signal.SIGKILL),
        "rolling-update": Handover(seed=41, ends=signal.SIGTERM),
        "one-behind": Handover(seed=17, latency_ms=LATENCY_MS),
        "rolling-update-to-one-behind": Handover(seed=27, ends=signal.SIGTERM, latency_ms=LATENCY_MS),
    },
)
async def test_handover(env: Environment, case: Handover) -> None:
    """While objects are edited, a second operator takes over from the first, or works beside it from an older view.

    SETUP   8 devices and 4 deployments, all running, and 16 devices with 2 deployments whose counts only rise
    ACTION  a second operator, in some cases behind a slow link; edits; at the 8th write of a key the first one ends
    ASSERT  every delete was justified; no wanted key was absent for long; no status went back; all is true at the end
    """
    env.step("setup", "devices and deployments, all running, and some whose counts only rise")
    # The operator first: how long it takes to start is no absence of a key.
    first = await env.start_operator()
    await first.wait_converged(CONVERGE_S)
    await create(env, SIZE)
    await create_steady(env)
    devices, steady = await env.start_devices(SIZE.device_names), await start_pending(env)
    await devices.wait_ready()
    await wait_status_true(env, SETTLE_S)
    async with second_link(env) as link:
        slow = Latency(link, case.latency_ms)
        if case.latency_ms:
            await env.strike(slow)
        await env.mark("second")
        second = await env.start_operator(through(link))
        await second.wait_converged(CONVERGE_S)
        helpers = [
            asyncio.create_task(approve_sweeps(env), name="approve sweeps"),
            asyncio.create_task(report_in_turn(steady), name="report in turn"),
        ]
        try:
            await under_edits(env, case, first, second)
            with still_judged():
                await wait_for("the last report", lambda: all_running(steady), deadline_s=SETTLE_S)
                await wait_status_true(env, SETTLE_S)
        finally:
            await end_tasks(helpers)
        if case.latency_ms:
            await env.mend(slow)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)

        env.step("assert", "deletes justified, keys there, status never back, and all of it true in the end")
        require_pass(
            await env.judge(
                operator_worked,
                faults_bit,
                no_unexpected_exit,
                converged_in_time("second", CONVERGE_S),
                objects_kept,
                deletes_justified,
                no_wanted_key_absent(ABSENT_S_MAX),
                status_never_back,
                writes_byte_identical,
                wanted_keys_present,
                status_true,
                buckets_honour_contract,
                buckets_kept,
            )
        )


async def under_edits(env: Environment, case: Handover, first: OperatorProcess, second: OperatorProcess) -> None:
    """The edits of the case; if the first operator is to end, it does so among them."""
    plan = plan_mutations(case.seed, MUTATING_S, RATE_PER_S, SIZE)
    env.step("action", f"{len(plan)} edits in {MUTATING_S:g} s, seed {case.seed}")
    written = kv_write(env.recorder, WRITES_BEFORE_END)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Mutator(env).run(plan))
            if case.ends is not None:
                await written.fired(SETTLE_S)
                kill = Kill(first, lambda: _there(second), case.ends)
                await env.strike(kill)
                await env.mend(kill)
    finally:
        written.close()


async def _there(second: OperatorProcess) -> OperatorProcess:
    """Nobody is started in place of the first: the second one is there."""
    return second


def through(link: Proxy) -> Mapping[str, str]:
    """The settings of an operator whose link to the broker this is."""
    return {"FLEET_NATS_URL": f"nats://{link.listen}"}


@contextlib.asynccontextmanager
async def second_link(env: Environment) -> AsyncIterator[Proxy]:
    """The second operator's own link to the broker."""
    link = await env.foundation.toxiproxy.create(f"{env.namespace}-second-nats", env.nats.address)
    try:
        yield link
    finally:
        await link.delete()
