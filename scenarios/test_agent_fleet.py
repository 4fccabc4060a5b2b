"""Family: what an agent is told. Shape R12: from kubectl to containers on two devices, and back to status."""

from dataclasses import dataclass

from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.going import deleted_objects_gone
from harness.checks.leftovers import torn_down
from harness.checks.life import no_unexpected_exit
from harness.checks.replacements import rolled_in_order
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reports_up_to_date
from harness.checks.status import status_true
from harness.checks.succeeded import succeeded_at
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP
from scenarios.worlds.agent_fleet import (
    GROUP,
    SETTLE_S,
    deployment_manifest,
    device_manifest,
    start_agents,
    wait_fleet,
)
from scenarios.worlds.agent_orders import OTHER, OTHER_SLOT, look_at_disk
from scenarios.worlds.fleet import CONVERGE_S
from scenarios.worlds.kubectl import Kubectl
from scenarios.worlds.looking import wait_devices, wait_gone

FIRST_ONLY = {"role": "first"}


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """`registered`: the devices introduce themselves; else they are written down before. `back`: unblocked again."""

    devices: tuple[str, str] = ("edge-1", "edge-2")
    registered: bool = False
    agents_first: bool = False
    back: bool = False
    needs: tuple[str, ...] = ("podman",)


@cases(
    "end-to-end",
    {
        "two-devices": EndToEnd(),
        "self-registered": EndToEnd(registered=True),
        "agents-first-dotted": EndToEnd(("site-a.rack.edge-1", "site-a.rack.edge-2"), agents_first=True),
        "unblocked-again": EndToEnd(back=True),
    },
)
async def test_end_to_end(env: Environment, case: EndToEnd) -> None:
    """What is applied runs on both devices, an edit rolls on both, a block and a delete take it away, wholly.

    SETUP   an operator and two devices with agents and podman; the devices as objects, or registering themselves
    ACTION  kubectl: apply two Deployments, one for both devices and one for the first; edit the first of them; block
            the second device, in one case not for good; delete the first Deployment
    ASSERT  succeeded=2 after the apply and after the edit; then nothing is left of it: objects, keys, containers,
            reports, files. The other Deployment was not touched
    """
    kubectl = await Kubectl.of(env)
    first, second = case.devices
    labels = {first: {**GROUP, **FIRST_ONLY}, second: GROUP}
    env.step("setup", "an operator and two devices" + (", which introduce themselves" if case.registered else ""))
    if not case.registered:
        await kubectl("apply", "-f", "-", stdin="".join(device_manifest(name, labels[name]) for name in case.devices))
    operator = None if case.agents_first else await env.start_operator()
    told = {name: labels[name] if case.registered else {} for name in case.devices}
    devices = await start_agents(env, told)
    operator = operator or await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    await wait_devices(env, len(case.devices))

    env.step("action", "kubectl apply")
    both, one = deployment_manifest("v1"), deployment_manifest("v1", name=OTHER, selector=FIRST_ONLY)
    await kubectl("apply", "-f", "-", stdin=both + one)
    with still_judged():
        await kubectl("wait", "--for=condition=Ready", f"fdeploy/{APP}", f"fdeploy/{OTHER}", f"--timeout={SETTLE_S:g}s")
        await wait_fleet(env, case.devices)
    await env.mark("applied")

    env.step("action", "kubectl apply again, with another image")
    await kubectl("apply", "-f", "-", stdin=deployment_manifest("v2") + one)
    with still_judged():
        await wait_fleet(env, case.devices)
    await env.mark("edited")

    env.step("action", f"{second} is blocked")
    await block(kubectl, second, blocked=True)
    with still_judged():
        await wait_fleet(env, case.devices)
    await env.mark("blocked")
    if case.back:
        env.step("action", f"{second} is unblocked")
        await block(kubectl, second, blocked=False)
        with still_judged():
            await wait_fleet(env, case.devices)
        await env.mark("unblocked")

    env.step("action", f"kubectl delete {APP}")
    await kubectl("delete", f"fdeploy/{APP}", "--wait=false")
    with still_judged():
        await wait_gone(env, "deployments", APP)
        await wait_fleet(env, case.devices)
    for device in devices.values():
        await look_at_disk(env, device)
    await env.mark("settled")

    env.step("assert", f"{APP} ran on both and is gone from both, {OTHER} was not touched")
    checks = [
        agent_worked,
        no_agent_exit,
        no_unexpected_exit,
        never_two_running,
        succeeded_at("applied", APP, 2),
        succeeded_at("edited", APP, 2),
        succeeded_at("blocked", APP, 1),
        succeeded_at("settled", OTHER, 1),
        untouched("applied", "settled", (OTHER_SLOT,)),
        deleted_objects_gone,
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.back:
        checks.append(succeeded_at("unblocked", APP, 2))
    for name in case.devices:
        checks += [torn_down(name, APP), runs_as_desired(name), ids_reported(name), reports_up_to_date(name)]
        checks.append(rolled_in_order(name, APP, "main"))
    require_pass(await env.judge(*checks))


async def block(kubectl: Kubectl, device: str, *, blocked: bool) -> None:
    await kubectl("patch", f"fdev/{device}", "--type=merge", "-p", f'{{"spec":{{"blocked":{str(blocked).lower()}}}}}')
