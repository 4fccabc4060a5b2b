"""Family: what an agent rolls forward. Shape R2: versions that cannot run."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from fleet.wire import HealthCheck, Phase, Port, PullPolicy, Service, Volume
from harness.checks.containers import ran_on
from harness.checks.judge import Check
from harness.checks.replacements import crash_loop_paused, never_reverted, replaced
from harness.checks.reporting import reported
from harness.env import Environment
from harness.env.device import Device
from harness.services.payload_images import image
from harness.services.process import ManagedProcess
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, SETTLE_S, as_ordered, payload, sound, start_fleet, start_running
from scenarios.worlds.looking import SOON_S

MAIN = f"{APP}/main"
TAKEN = (Port(80, 18080),)
# Longer than the first pause after a failure: a second try comes within it.
RETRIED_S = 1.2
TOLD_WITHIN_S = 0.3
_LISTENER = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("listening", flush=True)
while True:
    listener.accept()[0].close()
"""


@dataclass(frozen=True, slots=True)
class Bad:
    """A version that cannot run, and why. `keeps_old`: that shows before the old one is stopped.

    `starts` are those of its crash loop that are waited for; `first`: nothing ran before it; `port_freed`: no next
    version mends it, but the end of whoever held its port.
    """

    version: Service
    reason: str
    keeps_old: bool = False
    starts: int = 0
    first: bool = False
    port_freed: bool = False
    needs: tuple[str, ...] = ("podman",)


V1, V2, V3 = payload("v1"), payload("v2"), payload("v3")
NOWHERE = image("v9")

BAD: Mapping[str, Bad] = {
    "exits-at-once": Bad(payload("v2", "exit", "3"), "Exited", starts=3),
    "exits-with-zero": Bad(payload("v2", "exit", "0"), "Exited", starts=2),
    "exits-after-a-second": Bad(payload("v2", "exit", "3", "1"), "Exited", starts=2),
    "image-missing": Bad(replace(V2, image=NOWHERE), "ImagePullFailed", keeps_old=True),
    "never-pulled": Bad(replace(V2, image=NOWHERE, image_pull_policy=PullPolicy.NEVER), "ImageMissing", keeps_old=True),
    "volume-missing": Bad(replace(V2, volumes=(Volume("/nowhere", "/data"),)), "CreateFailed", keeps_old=True),
    "port-taken": Bad(replace(V2, ports=TAKEN), "PortTaken", keeps_old=True),
    "port-freed": Bad(replace(V2, ports=TAKEN), "PortTaken", keeps_old=True, port_freed=True),
    "no-such-program": Bad(replace(V2, command=("/bin/nothing",)), "StartFailed"),
    "unhealthy": Bad(replace(V2, health_check=HealthCheck(("/bin/sh", "-c", "false"), 1, 1, 1)), "Unhealthy"),
    "first-exits": Bad(payload("v2", "exit", "3"), "Exited", starts=2, first=True),
    "first-image-missing": Bad(replace(V2, image=NOWHERE), "ImagePullFailed", first=True),
}


@pytest.mark.rule("A5", "A6", "A11", "A23")
@cases("bad-version", BAD)
async def test_bad_version(env: Environment, case: Bad) -> None:
    """A version that cannot run is reported with its reason and not given up for the old one; the next one mends it.

    SETUP   v1 runs, or nothing
    ACTION  order a v2 that cannot run; wait until it has failed, and was tried again; order v3, or free its port
    ASSERT  Failed with the right reason; v1 ran on untouched if that could be known before its stop, else it was never
            started again; what ends by itself is started again after growing pauses; v3 runs
    """
    env.step("setup", f"{DEVICE} runs {'nothing' if case.first else 'v1'}")
    fleet = await (start_fleet(env) if case.first else start_running(env, [V1]))
    stranger = await stranger_at(fleet.device, TAKEN[0].host_port) if case.version.ports == TAKEN else None
    await env.mark("bad")

    env.step("action", f"v2 cannot run ({case.reason})")
    await fleet.put([case.version])
    with still_judged():
        await fleet.told(Phase.FAILED, reason=case.reason)
        if case.starts:
            await fleet.started_times(MAIN, case.starts, since="bad")
            # A report of the run that just ended may still be on its way.
            await env.wait_quiet(TOLD_WITHIN_S, deadline_s=SOON_S)
            await fleet.told(Phase.FAILED, reason=case.reason)
        else:
            await env.wait_quiet(RETRIED_S, deadline_s=SOON_S)
    await env.mark("failed")
    env.step("action", "whoever holds its port ends" if case.port_freed else "v3 can")
    with still_judged():
        if stranger is not None and case.port_freed:
            await stranger.stop()
            await fleet.told(Phase.RUNNING)
            await fleet.settled({"main"})
        else:
            await fleet.run([V3])

    env.step("assert", f"{case.reason} was reported, {'v1 ran on' if case.keeps_old else 'v1 never came back'}; mended")
    checks: list[Check] = []
    if case.keeps_old:
        checks += [ran_on("bad", "failed", (MAIN,)), replaced(DEVICE, MAIN, "bad")]
    elif not case.first:
        checks.append(never_reverted)
    if case.starts:
        checks.append(crash_loop_paused(DEVICE, MAIN, "bad", case.starts))
    require_pass(
        await env.judge(
            *sound(),
            reported(DEVICE, APP, Phase.FAILED, case.reason, at="failed"),
            *checks,
            *as_ordered(),
        )
    )


async def stranger_at(device: Device, port: int) -> ManagedProcess:
    """Another program of the device that listens there."""
    stranger = await device.host.spawn("stranger", [sys.executable, "-c", _LISTENER, str(port)])
    await stranger.wait_log("listening", since=0, deadline_s=SETTLE_S)
    return stranger
