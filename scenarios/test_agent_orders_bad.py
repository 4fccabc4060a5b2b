"""Family: what an agent is told. Shape R11: desired state that cannot be understood, or cannot be carried out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from fleet.wire import Bucket, DesiredState, Owner, Phase, Port, PullPolicy, Score, Service
from harness.checks.containers import ran_on, runs_as_desired, untouched
from harness.checks.judge import Check
from harness.checks.leftovers import nothing_made_of, said_of, said_why
from harness.checks.life import faults_bit
from harness.checks.reporting import ids_reported, reported, reports_up_to_date
from harness.env import Environment
from harness.faults.cut import Cut
from harness.faults.malformed import by_itself
from harness.services.payload_images import image
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, LIFECYCLE, Fleet, payload, sound, wait_reported
from scenarios.worlds.agent_orders import (
    APP_SLOTS,
    NEEDS,
    OTHER,
    OTHER_SLOT,
    PROBE,
    SOON_S,
    look_at_log,
    start_two,
    wait_runs,
)
from scenarios.worlds.bad_desired import REFUSED, spoilt
from scenarios.worlds.odd_entries import by_hand

ALL_SLOTS = (*APP_SLOTS, OTHER_SLOT)
PORT = 8080
# With pauses of 1, 2 and 4 s there are no more attempts than this in the time that a case takes.
ATTEMPTS_MAX = 5
ALWAYS: tuple[Check, ...] = (*sound(), runs_as_desired(DEVICE), ids_reported(DEVICE))


@dataclass(frozen=True, slots=True)
class Bad:
    """`heard`: told while the agent is there, read by an agent that is started, or read again on a new connection."""

    kind: str
    heard: Literal["told", "at-start", "again"] = "told"
    needs: tuple[str, ...] = NEEDS


@pytest.mark.rule("A17")
@cases(
    "bad-desired",
    {
        **{kind: Bad(kind) for kind in REFUSED},
        "garbage-at-start": Bad("garbage", "at-start"),
        "unknown-field-at-start": Bad("unknown-field", "at-start"),
        "one-megabyte-again": Bad("one-megabyte", "again"),
        "truncated-again": Bad("truncated", "again"),
    },
)
async def test_refused(env: Environment, case: Bad) -> None:
    """What cannot be understood changes nothing: the last good runs on, the reason is reported, a good value heals.

    SETUP   one device, two deployments, both running
    ACTION  a value is stored that would be the next generation of one, and is spoilt; it is told, or read once the
            agent is started, or read again; then a sound one
    ASSERT  no container was touched, the report says why under the last good's owner, it was logged once in a life;
            then the sound one runs
    """
    fleet, first = await start_two(env)
    await env.mark("bad")
    env.step("action", f"{APP} is given a value with {case.kind}")
    if case.heard == "at-start":
        await fleet.device.agent.kill()
    await fleet.orders.write(DEVICE, APP, spoilt(case.kind, after(first)))
    if case.heard == "at-start":
        await fleet.device.start_agent({"FLEET_TICK_S": "0.2"})
    with still_judged():
        await wait_reported(
            env,
            DEVICE,
            APP,
            Phase.FAILED,
            reason="DesiredRefused",
            generation=first.owner.generation,
            deadline_s=SOON_S,
        )
    if case.heard == "again":
        await read_again(env, fleet)
    look_at_log(env, fleet.device.agent)
    await env.mark("refused")

    env.step("action", "a sound value takes its place")
    sound = await fleet.put([payload("v2"), payload(name="side")])
    with still_judged():
        await wait_runs(env, sound)

    env.step("assert", "the last good ran on, and said why; the sound one runs")
    checks = [
        *ALWAYS,
        untouched("bad", "refused", ALL_SLOTS),
        said_why(DEVICE, APP, "DesiredRefused", "bad", "refused", kept=True),
        said_of(f"desired_refused {APP}"),
        reports_up_to_date(DEVICE),
        reported(DEVICE, APP, Phase.RUNNING),
    ]
    if case.heard == "again":
        checks.append(faults_bit)
    require_pass(await env.judge(*checks))


def after(first: DesiredState) -> DesiredState:
    """The next generation, which somebody spoils."""
    return DesiredState(
        Owner(first.owner.uid, first.owner.generation + 1), Score((payload("v2"), payload(name="side")), LIFECYCLE)
    )


async def read_again(env: Environment, fleet: Fleet) -> None:
    """The agent loses its connection, and reads the bucket on the next; a deployment that it finds there shows it."""
    cut = Cut(env.links.devices_nats)
    await env.strike(cut)
    probe = await fleet.put([payload()], deployment=f"{PROBE}-again")
    await env.mend(cut)
    with still_judged():
        await fleet.told(Phase.RUNNING, probe, deployment=f"{PROBE}-again")


@dataclass(frozen=True, slots=True)
class First:
    kind: str
    needs: tuple[str, ...] = NEEDS


@cases("bad-desired", {f"first-word-{kind}": First(kind) for kind in ("garbage", "unknown-field-deep", "500-services")})
async def test_first_word(env: Environment, case: First) -> None:
    """Of a first word that cannot be understood nothing is made, and nothing is reported; one line is logged.

    SETUP   one device, two deployments, both running
    ACTION  a third one is stored, spoilt; it is told, and read again on a new connection; then a sound one
    ASSERT  nothing was made or said of it before the sound one, which runs
    """
    fleet, first = await start_two(env)
    await env.mark("bad")
    env.step("action", f"{PROBE}, which nobody has heard of, is given a value with {case.kind}")
    await fleet.orders.write(DEVICE, PROBE, spoilt(case.kind, after(first)))
    await read_again(env, fleet)
    look_at_log(env, fleet.device.agent)
    await env.mark("refused")

    env.step("action", "a sound value takes its place")
    sound = await fleet.put([payload("v2")], deployment=PROBE)
    with still_judged():
        await wait_runs(env, sound, deployment=PROBE)
    require_pass(
        await env.judge(
            *ALWAYS,
            faults_bit,
            untouched("bad", "refused", ALL_SLOTS),
            nothing_made_of(DEVICE, PROBE, "refused"),
            said_of(f"desired_refused {PROBE}"),
            reports_up_to_date(DEVICE),
            reported(DEVICE, PROBE, Phase.RUNNING),
        )
    )


@dataclass(frozen=True, slots=True)
class Impossible:
    """Sound, and not to be done on this device. `freed`: what is in the way goes, instead of another value."""

    service: Service
    reason: str
    freed: bool = False
    needs: tuple[str, ...] = NEEDS


def wanting(service: Service) -> Service:
    """With the host port that somebody else holds."""
    return replace(service, ports=(Port(PORT, PORT),))


NONE = replace(payload("v2"), image=image("v9"))
IMPOSSIBLE: Mapping[str, Impossible] = {
    "image-missing": Impossible(replace(NONE, image_pull_policy=PullPolicy.NEVER), "ImageMissing"),
    "image-not-pulled": Impossible(NONE, "ImagePullFailed"),
    "port-taken": Impossible(wanting(payload("v2")), "PortTaken"),
    "port-taken-and-freed": Impossible(wanting(payload("v2")), "PortTaken", freed=True),
}


@cases("bad-desired", IMPOSSIBLE)
async def test_impossible(env: Environment, case: Impossible) -> None:
    """What cannot be carried out leaves the last good running, says why, is tried again in bounds, and heals.

    SETUP   one device, two deployments, both running; a container of a stranger's holds a host port
    ACTION  one deployment is given an image that there is not, or a port that is taken; then a sound value, or the
            stranger goes
    ASSERT  no container ran or ended, the reason is reported under the new owner, attempts were few; then it runs
    """
    fleet, _ = await start_two(env)
    host = fleet.device.host
    publish = f"--publish={PORT}:{PORT}"
    stranger = await host.podman("run", "--detach", "--name=stranger", publish, image("v1"), "serve", str(PORT))
    await env.mark("bad")
    env.step("action", f"{APP} is given what ends in {case.reason}")
    bad = await fleet.put([case.service, payload(name="side")])
    with still_judged():
        await fleet.told(Phase.FAILED, bad, reason=case.reason)
    await env.mark("refused")
    if case.freed:
        env.step("action", "the stranger goes")
        await host.podman("rm", "--force", "--time=0", stranger.strip())
        sound = bad
    else:
        env.step("action", "a sound value takes its place")
        sound = await fleet.put([payload("v3"), payload(name="side")])
    with still_judged():
        await wait_runs(env, sound)
    look_at_log(env, fleet.device.agent)

    env.step("assert", "the last good ran on, and said why; then it healed")
    require_pass(
        await env.judge(
            *ALWAYS,
            ran_on("bad", "refused", ALL_SLOTS),
            said_why(DEVICE, APP, case.reason, "bad", "refused", kept=False),
            said_of(f"deed_failed {APP}", times_max=ATTEMPTS_MAX),
            reports_up_to_date(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
        )
    )


@dataclass(frozen=True, slots=True)
class OddKey:
    key: str
    needs: tuple[str, ...] = NEEDS


ODD_KEYS = {
    "upper-case": f"{DEVICE}.WEB",
    "underscore": f"{DEVICE}.web_1",
    "leading-dash": f"{DEVICE}.-web",
    "too-long": f"{DEVICE}.{'w' * 64}",
}


@cases("bad-desired", {f"odd-key-{name}": OddKey(key) for name, key in ODD_KEYS.items()})
async def test_odd_key(env: Environment, case: OddKey) -> None:
    """A key under the device's own prefix that names no deployment is left, and said once; the others are heard on.

    SETUP   one device, two deployments, both running
    ACTION  somebody stores a sound value under a key that names nothing; the agent is told, and reads it again; then an
            edit of a deployment
    ASSERT  no container was touched before the edit, which runs; the key was named once in the log
    """
    fleet, first = await start_two(env)
    await env.mark("bad")
    await env.strike(by_hand(env, Bucket.DESIRED_STATE, {case.key: after(first).encode()}, cure=by_itself))
    await read_again(env, fleet)
    look_at_log(env, fleet.device.agent)
    await env.mark("refused")
    sound = await fleet.put([payload("v2")], deployment=OTHER)
    with still_judged():
        await wait_runs(env, sound, deployment=OTHER)
    require_pass(
        await env.judge(
            *ALWAYS,
            faults_bit,
            untouched("bad", "refused", ALL_SLOTS),
            said_of(f"desired_key_ignored {case.key}"),
            reported(DEVICE, OTHER, Phase.RUNNING),
        )
    )
