"""What the scenarios of an agent's orders do alike: two deployments on one device, looks at what it left and said."""

import json
from collections import Counter

from nats.js.errors import NotFoundError

from fleet.wire import (
    Bucket,
    DesiredState,
    Pair,
    Phase,
    deployment_name,
    device_id,
    kv_subject,
    state_key,
    stream_name,
)
from harness.checks.container_lives import lives
from harness.checks.containers import runs_as_desired
from harness.checks.leftovers import LOOK_AT_DISK
from harness.checks.reporting import last_reports
from harness.env import Environment
from harness.env.device import Device
from harness.faults.unstored_word import UnstoredWord, Way
from harness.history import HAND, Complaints, Op
from harness.services.process import ManagedProcess
from harness.wait import wait_for
from scenarios.cases import still_judged
from scenarios.worlds.agent import APP, DEVICE, Fleet, payload, start_fleet

OTHER = "other"
PROBE = "probe"
OTHER_SLOT = f"{OTHER}/main"
APP_SLOTS = (f"{APP}/main", f"{APP}/side")
NEEDS = ("podman",)
SOON_S = 10.0

_NAMED = {"desired_refused": "deployment", "desired_key_ignored": "key", "deed_failed": "deployment"}
"""Events of the agent's log, and the field by which `said` counts them."""


async def start_two(env: Environment) -> tuple[Fleet, DesiredState]:
    """Deployment `web` of two services and deployment `other` of one, reported Running; what `web` was given."""
    env.step("setup", "one device, two deployments, both of them running")
    fleet = await start_fleet(env)
    desired = await fleet.put([payload(), payload(name="side")])
    other = await fleet.put([payload()], deployment=OTHER)
    await wait_runs(env, desired)
    await wait_runs(env, other, deployment=OTHER)
    return fleet, desired


def pair(deployment: str = APP) -> Pair:
    return Pair(device_id(DEVICE), deployment_name(deployment))


def unstored(env: Environment, value: bytes | None, way: Way, deployment: str = APP) -> UnstoredWord:
    """A word of which the bucket knows nothing, on the witness's connection."""
    return UnstoredWord(env.witnesses.buckets.client.jetstream(), pair(deployment), value, way)


async def tear_down_seen(env: Environment, fleet: Fleet, deployment: str = APP) -> None:
    """Wait until no container and no report is left of it, then look at the disk; how it went is for the checks."""
    key = state_key(pair(deployment))

    async def probe() -> bool | None:
        mine = [life for life in lives(env.recorder.history()) if life.slot.deployment == deployment]
        if any(life.removed is None for life in mine):
            return None
        return True if await fleet.orders.stored(Bucket.DEVICE_STATE, key) is None else None

    with still_judged():
        await wait_for(f"{deployment} to be torn down", probe, deadline_s=SOON_S, interval_s=0.05)
    await look_at_disk(env, fleet.device, deployment)


async def wait_runs(env: Environment, desired: DesiredState, device: str = DEVICE, deployment: str = APP) -> None:
    """Wait until this very desired state is reported Running: another uid may be of the same generation."""
    settled = runs_as_desired(device)

    def probe() -> bool | None:
        history = env.recorder.history()
        _, report = last_reports(history).get((device, deployment), (0, None))
        if report is None or (report.phase, report.owner) != (Phase.RUNNING, desired.owner):
            return None
        # What is dropped or was replaced is stopped and removed a little later.
        there = [life for life in lives(history) if life.slot.device == device and life.removed is None]
        return True if all(life.running for life in there) and settled(history).outcome == "pass" else None

    what = f"{device} to run {deployment} of {desired.owner.uid}, generation {desired.owner.generation}, and no more"
    await wait_for(what, probe, deadline_s=SOON_S, interval_s=0.05)


async def wait_said_again(env: Environment, deployment: str) -> None:
    """Wait until there is a report of it: a new bucket holds none at first."""
    js = env.witnesses.buckets.client.jetstream()

    async def probe() -> bool | None:
        try:
            await js.get_last_msg(
                stream_name(Bucket.DEVICE_STATE), kv_subject(Bucket.DEVICE_STATE, state_key(pair(deployment)))
            )
        except NotFoundError:
            return None
        return True

    await wait_for(f"a report of {deployment}", probe, deadline_s=SOON_S, interval_s=0.05)


def files_of(device: Device, deployment: str) -> list[str]:
    """Of the agent's files, those that are named after a deployment."""
    return sorted(path.name for path in device.host.root.rglob(f"{deployment}.*"))


async def look_at_disk(env: Environment, device: Device, deployment: str = APP) -> None:
    """Write down what is left there, for the check `torn-down`; the files go last, and are given time to."""
    what = f"{device.name}/{deployment}"
    with still_judged():
        await wait_for(
            f"the files of {what} to go",
            lambda: None if files_of(device, deployment) else True,
            deadline_s=SOON_S,
            interval_s=0.05,
        )
    now_s, found = env.recorder.now_s, ", ".join(files_of(device, deployment))
    env.recorder.add(
        Op(at_s=now_s, client=HAND, action=LOOK_AT_DISK, target=what, invoked_s=now_s, outcome="ok", detail=found)
    )


def said(agent: ManagedProcess) -> dict[str, int]:
    """How many lines of an agent's log there are by event and what it is about, e.g. `desired_refused web`."""
    found: Counter[str] = Counter()
    for text in agent.log_path.read_bytes().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        event = line.get("event") if isinstance(line, dict) else None
        if event in _NAMED:
            found[f"{event} {line.get(_NAMED[event])}"] += 1
    return dict(found)


def look_at_log(env: Environment, agent: ManagedProcess) -> None:
    """Write down what it said, for the check `said-so-often`."""
    env.recorder.add(Complaints(at_s=env.recorder.now_s, process=agent.name, counted={}, logged=said(agent)))
