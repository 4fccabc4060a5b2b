"""What scenarios of an agent set up alike: a device with podman and payload images, its agent, and who orders.

orders -> desired-state -> agent -> podman -> containers of harness/services/payload_images.py
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fleet.wire import DesiredState, DeviceState, EnvVar, Lifecycle, Phase, Service
from harness.checks.container_lives import in_slot, lives
from harness.checks.container_make import LOOKED, facts_of
from harness.checks.containers import never_two_running, runs_as_desired
from harness.checks.judge import Check
from harness.checks.reporting import (
    agent_worked,
    ids_reported,
    last_reports,
    no_agent_exit,
    reported,
    reports_up_to_date,
)
from harness.devices.orders import Orders
from harness.env import Environment
from harness.env.device import Device
from harness.services.payload_images import image
from harness.wait import wait_for
from scenarios.worlds.looking import note_by_hand

DEVICE = "edge-1"
APP = "web"
SETTLE_S = 20.0
# What is to go after a Running is told has its grace, which is short here, and a removal.
LEFT_S = 8.0
TICK_S = 0.2
LIFECYCLE = Lifecycle("SIGTERM", 2)


@dataclass(frozen=True, slots=True)
class Fleet:
    """One device, its agent, and the hand that writes its desired-state."""

    env: Environment
    orders: Orders
    device: Device

    async def put(
        self, services: Sequence[Service], lifecycle: Lifecycle = LIFECYCLE, *, deployment: str = APP
    ) -> DesiredState:
        """Order this; the agent is not waited for."""
        return await self.orders.put(self.device.name, deployment, services, lifecycle)

    async def run(
        self, services: Sequence[Service], lifecycle: Lifecycle = LIFECYCLE, *, deployment: str = APP
    ) -> DeviceState:
        """Order this, and wait until it is reported Running and nothing else is left of the deployment."""
        desired = await self.put(services, lifecycle, deployment=deployment)
        report = await self.told(Phase.RUNNING, desired, deployment=deployment)
        await self.settled({service.name for service in services}, deployment)
        return report

    async def settled(self, services: AbstractSet[str], deployment: str = APP) -> None:
        """Wait until these services of the deployment run and nothing else of it is left. Raises WaitTimeout."""

        def probe() -> bool | None:
            found = [life for life in lives(self.env.recorder.history()) if life.slot.deployment == deployment]
            there = [life for life in found if life.removed is None]
            running = sorted(life.slot.service for life in there if life.running)
            return True if running == sorted(services) and len(there) == len(services) else None

        await wait_for(f"nothing old to be left of {deployment}", probe, deadline_s=LEFT_S)

    async def started_times(self, slot: str, times: int, *, since: str) -> None:
        """Wait until the containers of a slot were started that often since the mark, and the last run is over."""

        def probe() -> bool | None:
            history = self.env.recorder.history()
            mark = history.mark(since)
            there = in_slot(history, self.device.name, slot)
            runs = [run for life in there for run in life.runs if mark and run.began.at_s > mark[1].at_s]
            return True if len(runs) >= times and all(run.ended is not None for run in runs) else None

        await wait_for(f"{slot} to be started {times} times", probe, deadline_s=SETTLE_S)

    async def look_into_all(self) -> None:
        """Write down what podman says of each container that runs, for the check `made-as-desired`."""
        host = self.device.host
        for life in lives(self.env.recorder.history()):
            if life.running and life.slot.device == self.device.name:
                since_s = self.env.recorder.now_s
                (found,) = json.loads(await host.podman("inspect", "--type=container", life.id))
                target, facts = "/".join(life.slot), json.dumps(facts_of(found), sort_keys=True)
                note_by_hand(self.env, LOOKED, target, since_s, detail=facts)

    async def told(
        self, phase: Phase, desired: DesiredState | None = None, *, deployment: str = APP, reason: str = ""
    ) -> DeviceState:
        """Wait for a report of that phase, about that desired state, with that word in its error."""
        generation = None if desired is None else desired.owner.generation
        return await wait_reported(self.env, self.device.name, deployment, phase, generation=generation, reason=reason)


def sound() -> tuple[Check, ...]:
    """What holds in every case: an agent worked, none ended by itself, and no slot ever ran two containers."""
    return agent_worked, no_agent_exit, never_two_running


def as_ordered(deployment: str = APP) -> tuple[Check, ...]:
    """What holds once a case is over: what is stored runs, nothing else does, and that is what is reported."""
    return (
        runs_as_desired(DEVICE),
        reported(DEVICE, deployment, Phase.RUNNING),
        ids_reported(DEVICE),
        reports_up_to_date(DEVICE),
    )


def payload(
    version: str = "v1",
    *behaviour: str,
    name: str = "main",
    env: Mapping[str, str] | None = None,
) -> Service:
    """A service of one of the payload images, which by default runs until SIGTERM."""
    command = ("/bin/payload", *(behaviour or ("sleep",)))
    variables = tuple(EnvVar(key, value) for key, value in (env or {}).items())
    return Service(name, image(version), command, env=variables)


async def start_fleet(env: Environment, *, settings: Mapping[str, str] | None = None) -> Fleet:
    """Buckets, a device and its agent, which has nothing to do yet. `settings` are the agent's, on top."""
    orders = await env.orders()
    await orders.make_buckets()
    device = await env.start_device(DEVICE)
    await device.start_agent({"FLEET_TICK_S": f"{TICK_S:g}", **(settings or {})})
    return Fleet(env, orders, device)


async def start_running(
    env: Environment,
    services: Sequence[Service] = (),
    lifecycle: Lifecycle = LIFECYCLE,
    *,
    settings: Mapping[str, str] | None = None,
) -> Fleet:
    """As `start_fleet`; these services (one payload if none is given) of deployment `web` are reported Running."""
    fleet = await start_fleet(env, settings=settings)
    await fleet.run(services or [payload()], lifecycle)
    return fleet


async def wait_reported(
    env: Environment,
    device: str,
    deployment: str,
    phase: Phase,
    *,
    generation: int | None = None,
    reason: str = "",
    deadline_s: float = SETTLE_S,
) -> DeviceState:
    """Wait until the last report that the broker stored says that. Raises WaitTimeout."""

    def probe() -> DeviceState | None:
        _, report = last_reports(env.recorder.history()).get((device, deployment), (0, None))
        if report is None or report.phase is not phase or reason not in (report.last_error or ""):
            return None
        return report if generation in (None, report.owner.generation) else None

    what = f"{device} to report {deployment} as {phase}{reason and ', '}{reason}"
    return await wait_for(what, probe, deadline_s=deadline_s)


async def wait_withdrawn(env: Environment, device: str, deployment: str, *, deadline_s: float = SETTLE_S) -> None:
    """Wait until a report of that deployment was there and is there no more. Raises WaitTimeout."""

    def probe() -> bool | None:
        told = last_reports(env.recorder.history()).get((device, deployment))
        return True if told is not None and told[1] is None else None

    await wait_for(f"{device} to withdraw its report of {deployment}", probe, deadline_s=deadline_s)
