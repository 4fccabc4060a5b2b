"""Operator and real agents in one world: manifests as people write them, and waits for the whole fleet."""

import asyncio
from collections.abc import Mapping, Sequence

from fleet.crds import API_VERSION
from harness.checks.container_lives import lives
from harness.checks.containers import runs_as_desired
from harness.checks.reference import World, status_shown
from harness.env import Environment
from harness.env.device import Device
from harness.services.payload_images import image
from harness.wait import wait_for
from scenarios.worlds.agent import APP
from scenarios.worlds.looking import beats_stored

TICK = {"FLEET_TICK_S": "0.2"}
SETTLE_S = 25.0
GROUP = {"group": "g"}

Labels = Mapping[str, str]


async def start_agents(env: Environment, devices: Mapping[str, Labels]) -> dict[str, Device]:
    """A host and an agent for each, at the same time; the labels are what it tells of itself."""

    async def start(name: str, labels: Labels) -> Device:
        device = await env.start_device(name, labels=labels)
        await device.start_agent(TICK)
        return device

    started = await asyncio.gather(*(start(name, labels) for name, labels in devices.items()))
    return {device.name: device for device in started}


def device_manifest(name: str, labels: Labels) -> str:
    return f"""\
apiVersion: {API_VERSION}
kind: Device
metadata: {{name: {name}}}
spec: {{labels: {{{_pairs(labels)}}}}}
---
"""


def deployment_manifest(version: str, *, name: str = APP, selector: Labels = GROUP) -> str:
    """One service of a payload image."""
    return f"""\
apiVersion: {API_VERSION}
kind: Deployment
metadata: {{name: {name}}}
spec:
  targetSelector: {{matchLabels: {{{_pairs(selector)}}}}}
  lifecycle: {{stopSignal: SIGTERM, gracePeriodSecs: 2}}
  services:
  - name: main
    image: {image(version)}
    command: [/bin/payload, sleep]
---
"""


def _pairs(labels: Labels) -> str:
    return ", ".join(f"{key}: {value}" for key, value in labels.items())


async def wait_fleet(env: Environment, devices: Sequence[str], deadline_s: float = SETTLE_S) -> None:
    """Wait until keys, containers and statuses are as the objects ask, all Ready, and no container is left over."""

    async def probe() -> bool | None:
        await beats_stored(env)
        await env.settle_witnesses()
        history = env.recorder.history()
        world = World.at_end(history)
        keys = {key: (value.owner.uid, value.score) for key, value in world.stored.items() if value is not None}
        wanted = {key: (world.deployments[key[1]].uid, score) for key, score in world.wanted.items()}
        told = all(status_shown(deployment) == world.status(name) for name, deployment in world.deployments.items())
        if keys != wanted or not told or world.reports.keys() != wanted.keys():
            return None
        runs = all(runs_as_desired(device)(history).outcome != "fail" for device in devices)
        there = [life for life in lives(history) if life.removed is None]
        standing = all(world.status(name).ready for name in world.deployments)
        return True if runs and standing and all(life.running for life in there) else None

    await wait_for("the fleet to be as its objects ask", probe, deadline_s=deadline_s, interval_s=0.1)
