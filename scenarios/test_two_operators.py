"""Family: two operators at once, as during every rolling update. Shape 7."""

import asyncio
import random
from dataclasses import dataclass

from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.flow import status_never_back
from harness.checks.identical import writes_byte_identical
from harness.checks.keys import deletes_justified, no_wanted_key_absent
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.objects import objects_kept
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.stop import Stop
from harness.services.operator import OperatorProcess
from harness.wait import end_tasks, wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.mutations import Mutation, Mutator, approve_sweeps, plan_mutations
from scenarios.worlds.steady import STEADY_DEPLOYMENTS, all_running, create_steady, report_in_turn, start_pending

SIZE = Size(40, 8)
RATE_PER_S = 8.0
STOPPED_S = (0.3, 3.0)
RUNNING_S = (0.3, 2.0)
# One operator stands still for up to three seconds; the other is to have done it long before that.
ABSENT_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Twins:
    """`long` cases run when they are asked for: `fleetproof run`, `--long`, or by their id."""

    seed: int
    seconds: float
    long: bool = False


# Their devices report again after each edit, so that counts rise for long.
STEADY_EDIT_EVERY_S = 3.5


@dataclass(frozen=True, slots=True)
class Standing:
    """One of the operators stands still, from `at_s` after the beginning for `for_s`."""

    at_s: float
    for_s: float
    operator: int


def plan_stops(seed: int, seconds: float) -> list[Standing]:
    """One at a time, at random times; the last one goes on before the end."""
    draw = random.Random(f"stops of {seed}")  # noqa: S311 - repeatable on purpose
    stops: list[Standing] = []
    at_s = draw.uniform(*RUNNING_S)
    while at_s < seconds:
        stops.append(Standing(at_s, draw.uniform(*STOPPED_S), draw.randrange(2)))
        at_s += stops[-1].for_s + draw.uniform(*RUNNING_S)
    return stops


@cases(
    "two-operators",
    {
        "12s": Twins(seed=1, seconds=12),
        "60s": Twins(seed=7, seconds=60, long=True),
    },
)
async def test_two_operators(env: Environment, case: Twins) -> None:
    """Two operators under mutation, one of them stopped and continued at random: the world is as one would make it.

    SETUP   40 devices and 8 deployments, all running, and 16 devices with 2 deployments whose counts only rise; a
            second operator beside the first
    ACTION  edits of selectors, images and labels, deletes and creates at a steady rate; SIGSTOP and SIGCONT of one
            operator at random times; somebody approves each sweep that the brake holds
    ASSERT  every delete was justified; no wanted key was absent for long; no status went back; all is true at the end
    """
    first, _ = await start_settled(env, SIZE)
    await create_steady(env)
    steady = await start_pending(env)
    await wait_status_true(env, SETTLE_S)
    second = await env.start_operator()
    await second.wait_converged(CONVERGE_S)
    edits = [
        Mutation(number * STEADY_EDIT_EVERY_S, "edit image", name, version=number + 2)
        for number in range(int(case.seconds / STEADY_EDIT_EVERY_S))
        for name in STEADY_DEPLOYMENTS
    ]
    plan, stops = plan_mutations(case.seed, case.seconds, RATE_PER_S, SIZE), plan_stops(case.seed, case.seconds)
    env.step("action", f"{len(plan)} edits in {case.seconds:g} s, {len(stops)} stops of one operator; seed {case.seed}")
    helpers = [
        asyncio.create_task(approve_sweeps(env), name="approve sweeps"),
        asyncio.create_task(report_in_turn(steady), name="report in turn"),
    ]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Mutator(env).run(plan))
            group.create_task(Mutator(env).run(edits))
            group.create_task(stop_and_continue(env, (first, second), stops))
        with still_judged():
            await wait_for("the last report", lambda: all_running(steady), deadline_s=SETTLE_S)
            await wait_status_true(env, SETTLE_S)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    finally:
        await end_tasks(helpers)
    await env.mark("settled")

    env.step("assert", "deletes justified, keys there, status never back, and all of it true in the end")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
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


async def stop_and_continue(
    env: Environment, operators: tuple[OperatorProcess, OperatorProcess], stops: list[Standing]
) -> None:
    """Each stop and its end stand in the history with their proofs."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def until(at_s: float) -> None:
        await wait_for(
            "the next stop", lambda: True if loop.time() - began_s >= at_s else None, deadline_s=60.0, interval_s=0.01
        )

    for standing in stops:
        stop = Stop(operators[standing.operator])
        await until(standing.at_s)
        await env.strike(stop)
        await until(standing.at_s + standing.for_s)
        await env.mend(stop)
