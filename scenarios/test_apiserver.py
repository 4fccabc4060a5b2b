"""Family: trouble with the API server. Shape 19."""

import asyncio
from dataclasses import dataclass

import pytest

from fleet.crds import DEPLOYMENT
from fleet.wire import Phase
from harness.checks.hammering import no_hammering, requests_hit
from harness.checks.heal import converged_after_heal
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.struck import struck_while
from harness.checks.writes import wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.fault import Fault
from harness.faults.http_point import EVERYTHING, LISTS, STATUS_PATCHES, WATCHES
from harness.faults.kill import Kill
from harness.history import Gate as GateRecord
from harness.services.gate import Rule
from harness.services.operator import OperatorProcess
from harness.triggers import Trigger
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.apiserver_trouble import (
    Make,
    cut,
    garbage,
    hang_up,
    slow,
    status,
    watch_dropped,
    watch_expired,
    watch_expired_event,
)
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, Size, create, edit_image, wait_status_true

SMALL = Size(8, 4)
# More statuses than may be patched in vain in one second.
WIDE = Size(8, 120)
# Two resources are listed and watched, and a few statuses patched; the first retries come quickly.
REQUESTS_PER_S_MAX = 50
# The longest pause between two attempts, and a list.
SOON_S = 10.0
# A second in which requests can be counted, and the beginnings of the next.
AWAY_S = 2.0


@dataclass(frozen=True, slots=True)
class Away:
    """One trouble.

    `hits` is the rule whose requests must come to harm, at least `least` of them: one that is slow may be the last, and
    so may one that took effect although its answer was lost. None: a link that is cut, where nobody can count them.
    `mid_rebuild`: how many lists of a rebuild get through before the trouble begins; None: while Converged.
    """

    make: Make
    hits: str | None
    least: int = 3
    mid_rebuild: int | None = None
    times: int = 1
    size: Size = SMALL


REBUILDING = {
    "cut": Away(cut, None, mid_rebuild=0),
    "flapping": Away(cut, None, mid_rebuild=0, times=3),
    "hang-up": Away(hang_up, "all", mid_rebuild=1),
    "503": Away(status(503), "all", mid_rebuild=0),
    "500-list": Away(status(500, LISTS), "list", mid_rebuild=1),
    "429": Away(status(429), "all", mid_rebuild=0),
    "410-list": Away(status(410, LISTS), "list", mid_rebuild=0),
    "410-event": Away(watch_expired_event, "watch", mid_rebuild=0),
    "401-list": Away(status(401, LISTS), "list", mid_rebuild=1),
    "403-list": Away(status(403, LISTS), "list", mid_rebuild=0),
    "bytes-list": Away(garbage("bytes", LISTS), "list", mid_rebuild=0),
    "utf8-list": Away(garbage("utf8", LISTS), "list", mid_rebuild=0),
    "deep-list": Away(garbage("deep", LISTS), "list", mid_rebuild=0),
    "shape-list": Away(garbage("shape", LISTS), "list", mid_rebuild=1),
    "html": Away(garbage("html", EVERYTHING), "all", mid_rebuild=0),
    "not-http": Away(garbage("not-http", EVERYTHING), "all", mid_rebuild=0),
    "cut-list": Away(garbage("cut", LISTS), "list", mid_rebuild=1),
    "slow-list": Away(slow(LISTS), "list", least=1, mid_rebuild=0),
    "watch-dropped": Away(watch_dropped, "watch", mid_rebuild=0),
}

CONVERGED = {
    "converged-cut": Away(cut, None),
    "converged-hang-up": Away(hang_up, "all"),
    "converged-503": Away(status(503), "all"),
    "converged-500-patch": Away(status(500, STATUS_PATCHES), "status-patch", least=2),
    "converged-503-patch-120": Away(status(503, STATUS_PATCHES), "status-patch", size=WIDE),
    "converged-429-patch": Away(status(429, STATUS_PATCHES), "status-patch", least=2),
    "converged-403-patch": Away(status(403, STATUS_PATCHES), "status-patch", least=2),
    "converged-401": Away(status(401), "all"),
    "converged-410-watch": Away(watch_expired, "watch"),
    "converged-watch-dropped": Away(watch_dropped, "watch"),
    "converged-deep-watch": Away(garbage("deep", WATCHES), "watch"),
    "converged-utf8-patch": Away(garbage("utf8", STATUS_PATCHES), "status-patch", least=2),
    "converged-shape-patch": Away(garbage("shape", STATUS_PATCHES), "status-patch", least=2),
    "converged-cut-patch": Away(garbage("cut", STATUS_PATCHES), "status-patch", least=1),
    "converged-slow": Away(slow(EVERYTHING), "all", least=1),
}


@pytest.mark.rule("P2")
@cases("apiserver-away-mid-rebuild", {**REBUILDING, **CONVERGED})
async def test_apiserver_away(env: Environment, case: Away) -> None:
    """Whatever the API server says or does not say, the operator stays, asks now and then, and is true soon after.

    SETUP   8 devices and 4 deployments, all running
    ACTION  the API server is in trouble, in the middle of a rebuild or while the operator is Converged; meanwhile
            half of the devices fail, one deployment is edited and one deleted; then the trouble is over
    ASSERT  no exit, no hammering, Converged soon after the heal; status true, keys present, deletes justified
    """
    operator, devices = await _running(env, case.size)
    fault = case.make(env)
    await env.mark("trouble")
    if case.mid_rebuild is None:
        env.step("action", f"{fault.name} on {fault.target}, while Converged")
        await env.strike(fault)
    else:
        env.step("action", f"start it again; {fault.name} on {fault.target} after {case.mid_rebuild} lists")
        operator = await _struck_mid_rebuild(env, operator, fault, case.mid_rebuild)
    world = asyncio.create_task(_world_changes(env, case.size, devices))
    try:
        for _ in range(case.times - 1):
            await _lasts(env, case, AWAY_S / case.times)
            await env.mend(fault)
            await env.strike(fault)
        await _lasts(env, case, AWAY_S)
    finally:
        await world
    await env.mend(fault)
    with still_judged():
        await operator.wait_converged(SOON_S)
        await wait_status_true(env, SOON_S)
    await env.mark("settled")

    env.step("assert", "nobody exited or hammered; Converged soon after the heal; the fleet is as it should be")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        struck_while("Converged" if case.mid_rebuild is None else "Recovering", "trouble"),
        no_unexpected_exit,
        converged_after_heal(SOON_S),
        deletes_justified,
        wanted_keys_present,
        status_true,
    ]
    if case.hits is not None:
        checks += [requests_hit(case.hits, case.least), no_hammering(REQUESTS_PER_S_MAX)]
    require_pass(await env.judge(*checks))


async def _running(env: Environment, size: Size) -> tuple[OperatorProcess, ScriptedDevices]:
    env.step("setup", f"{size.devices} devices, {size.deployments} deployments, all of them running")
    await create(env, size)
    operator = await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    devices = await env.start_devices(size.device_names)
    await devices.wait_ready()
    await wait_status_true(env, SETTLE_S)
    return operator, devices


async def _struck_mid_rebuild(env: Environment, operator: OperatorProcess, fault: Fault, lists: int) -> OperatorProcess:
    """End the operator, start the next one, and strike while its next list but `lists` stands still at the gate."""
    rule = Rule("rebuild", LISTS.rule.method, LISTS.rule.path_regex)
    held = env.gate.hold(rule, lists + 1)
    kill = Kill(operator, env.start_operator)
    await env.strike(kill)
    await env.mend(kill)
    if kill.successor is None:
        raise AssertionError("`mend` started a successor or raised")
    await held.reached(CONVERGE_S)
    await env.mark("trouble")
    await env.strike(fault)
    held.release()
    env.gate.disarm(rule)
    return kill.successor


async def _world_changes(env: Environment, size: Size, devices: ScriptedDevices) -> None:
    """Half of the devices fail, one deployment is edited and another deleted: there is something to write."""
    async with asyncio.TaskGroup() as group:
        for pair in sorted(devices.desired)[::2]:
            group.create_task(devices.report(pair, Phase.FAILED, "disk full"))
    await edit_image(env, size.deployment_names[0], "registry.example/app:2")
    await env.foundation.admin.delete(DEPLOYMENT.plural, env.namespace, size.deployment_names[-1])


async def _lasts(env: Environment, case: Away, seconds: float) -> None:
    """The trouble goes on until enough requests came to harm, and long enough to count how many come in a second."""
    began_s = env.recorder.now_s
    hits = Trigger(
        env.recorder,
        "requests that came to harm",
        case.least,
        lambda r: isinstance(r, GateRecord) and r.event == "faulted" and r.rule == case.hits,
    )
    try:
        with still_judged():
            if case.hits is not None:
                await hits.fired(SOON_S)
            await wait_for(
                f"{seconds:g} s of trouble",
                lambda: True if env.recorder.now_s - began_s >= seconds else None,
                deadline_s=SOON_S,
            )
    finally:
        hits.close()
