"""A workload runs twice in one test: disturbed in the test's own world, and clean in another one beside it.

    disturbed(env)             --> history of the test <-- Reference record
    clean(second environment)  --> history in <case folder>/reference --^

Both at the same time, since most of either is waiting. Then `equals_reference` compares how they ended.
"""

import asyncio
from collections.abc import Callable, Coroutine

from harness.checks.contract import buckets_kept
from harness.checks.judge import Check
from harness.checks.life import no_unexpected_exit
from harness.checks.reference_run import end_state
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.history import Reference

Workload = Callable[[Environment], Coroutine[None, None, None]]

# A clean run that is wrong by itself is no measure.
_CLEAN: tuple[Check, ...] = (no_unexpected_exit, wanted_keys_present, status_true, buckets_kept)


async def run_twice(env: Environment, disturbed: Workload, clean: Workload) -> None:
    """On return `disturbed` has run in `env`, whose history tells how `clean` ended in a world without faults."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(disturbed(env))
            group.create_task(_run_clean(env, clean))
    except ExceptionGroup as e:
        raise e.exceptions[0] from e


async def _run_clean(env: Environment, workload: Workload) -> None:
    async with env.beside("reference") as world:
        await workload(world)
        judgement = await world.judge(*_CLEAN)
        told = [f"{f.check} {f.outcome}: {f.reason}" for f in judgement.findings if f.outcome != "pass"]
        ended = end_state(world.recorder.history())
    env.recorder.add(Reference(at_s=env.recorder.now_s, run="the clean run", end_state=ended, trouble="; ".join(told)))
