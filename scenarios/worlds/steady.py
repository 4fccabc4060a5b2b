"""Deployments that nobody edits, on devices that report one after the other: their counts can only rise.

A status that shows fewer than one before it was decided on an older view (`status-never-back`).
"""

from fleet.crds import DEPLOYMENT, DEVICE
from fleet.wire import Phase
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.wait import ticks
from scenarios.worlds.fleet import GROUPS, deployment_body, device_body

STEADY_DEVICES = tuple(f"steady-device-{i:02d}" for i in range(16))
STEADY_DEPLOYMENTS = ("steady-a", "steady-b")
# A group of their own, which no plan of edits draws.
STEADY_GROUP = GROUPS
REPORT_EVERY_S = 0.08


async def create_steady(env: Environment) -> None:
    admin, namespace = env.foundation.admin, env.namespace
    bodies = [device_body(name, STEADY_GROUP) for name in STEADY_DEVICES]
    await admin.create_many(DEVICE.plural, namespace, bodies)
    bodies = [deployment_body(name, STEADY_GROUP) for name in STEADY_DEPLOYMENTS]
    await admin.create_many(DEPLOYMENT.plural, namespace, bodies)


async def start_pending(env: Environment) -> ScriptedDevices:
    """The devices of `create_steady`. All they say by themselves is Pending."""
    # The objects first: a device that introduces itself without one would be registered with no labels.
    devices = await env.start_devices(STEADY_DEVICES)
    devices.policy = lambda _, __: (Phase.PENDING, None)
    await devices.wait_ready()
    return devices


async def report_in_turn(devices: ScriptedDevices) -> None:
    """One device after the other says that it runs what it is to run. Ends by cancellation."""
    async for _ in ticks(REPORT_EVERY_S):
        pending = [pair for pair, state in devices.reported.items() if state.phase is Phase.PENDING]
        if pending:
            await devices.report(pending[0], Phase.RUNNING)


def all_running(devices: ScriptedDevices) -> bool | None:
    """For `wait_for`: True, or None as long as one has not said so of what it is to run now."""
    owners = {pair: state.owner for pair, state in devices.reported.items() if state.phase is Phase.RUNNING}
    return True if owners == {pair: desired.owner for pair, desired in devices.desired.items()} else None
