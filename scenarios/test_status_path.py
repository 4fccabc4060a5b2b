"""Family: trouble with the API server. Shape 18, in which the path that writes status panics."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from fleet.wire import Phase
from harness.checks.crash_only import crash_only
from harness.checks.heal import converged_after_heal
from harness.checks.life import faults_bit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.latency import Latency
from harness.faults.panic import StatusPanic, environment
from harness.observers.readiness import ReadinessObserver
from harness.services.operator import OperatorProcess
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import SETTLE_S, Size, create, edit_image, start_created, wait_status_true

SIZE = Size(8, 4)
EXIT_WITHIN_S = 10.0
SOON_S = 10.0
BROKER_LATENCY_MS = 150


@dataclass(frozen=True, slots=True)
class Panic:
    """At which status patch; whether the next life panics too, at its very first; what else goes on meanwhile."""

    at: int
    twice: bool = False
    edits: bool = False


@pytest.mark.rule("P1")
@cases(
    "status-path-panic",
    {
        "first": Panic(1),
        "second": Panic(2),
        "fourth": Panic(4),
        "twice-in-a-row": Panic(1, twice=True),
        "third-with-edits": Panic(3, edits=True),
    },
)
async def test_status_path_panic(env: Environment, case: Panic) -> None:
    """What nobody expects ends the process, which says so first; the next one makes all of it true.

    SETUP   8 devices and 4 deployments, all running
    ACTION  all devices fail, so that every status is to be patched; one of the patches raises what nobody expects;
            the operator is started again, and in one case panics at once, and is started once more
    ASSERT  exit with an error, not ready before it; the last one converges; every status and key is right
    """
    async with AsyncExitStack() as stack:
        lives = _Lives(env, stack)
        await create(env, SIZE)
        operator, devices = await start_created(env, SIZE, settings=lives.settings(1))
        await lives.watch(operator)
        # It closes its connections to the broker before it ends. That takes a while then, in which it can be asked.
        slow = Latency(env.links.operator_nats, BROKER_LATENCY_MS)
        await env.strike(slow)

        env.step("action", f"all devices fail; status patch {case.at} raises")
        first = StatusPanic(
            operator.process.name,
            lives.settings(1),
            case.at,
            provoke=partial(_changes, env, devices, edits=case.edits),
            restart=partial(lives.start, 2),
        )
        await env.strike(first)
        with still_judged():
            await operator.process.wait_exit(EXIT_WITHIN_S)
        last = first
        if case.twice:
            env.step("action", "the next life raises at its first status patch")
            last = StatusPanic(
                "operator-2",
                lives.settings(2),
                1,
                provoke=partial(env.mend, first),
                restart=partial(lives.start, 3),
            )
            await env.strike(last)
            if first.successor is not None:
                with still_judged():
                    await first.successor.process.wait_exit(EXIT_WITHIN_S)
        await env.mend(last)
        await env.mend(slow)
        with still_judged():
            if last.successor is not None:
                await last.successor.wait_converged(SOON_S)
            await wait_status_true(env, SETTLE_S)
        await env.mark("settled")

    env.step("assert", "each panic ended a process, in the right order; nothing is lost")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            crash_only(EXIT_WITHIN_S),
            converged_after_heal(SOON_S),
            wanted_keys_present,
            status_true,
        )
    )


class _Lives:
    """Operators that can be made to panic, each by a file of its own; /readyz of each is followed."""

    def __init__(self, env: Environment, stack: AsyncExitStack) -> None:
        self._env = env
        self._stack = stack
        self._newest: OperatorProcess | None = None

    def settings(self, number: int) -> Mapping[str, str]:
        return environment(self._env.folder, f"life-{number}")

    async def start(self, number: int) -> OperatorProcess:
        """Start one, once the one before is gone for sure."""
        if self._newest is not None:
            await self._newest.close()
        operator = await self._env.start_operator(self.settings(number))
        await self.watch(operator)
        return operator

    async def watch(self, operator: OperatorProcess) -> None:
        self._newest = operator
        await self._stack.enter_async_context(ReadinessObserver(operator, self._env.recorder))


async def _changes(env: Environment, devices: ScriptedDevices, *, edits: bool) -> None:
    """Every status is to be patched, and with `edits` there are keys to be written too."""
    async with asyncio.TaskGroup() as group:
        for pair in sorted(devices.desired):
            group.create_task(devices.report(pair, Phase.FAILED, "disk full"))
        if edits:
            for name in SIZE.deployment_names[:2]:
                group.create_task(edit_image(env, name, "registry.example/app:2"))
