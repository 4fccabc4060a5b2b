"""Family: what an agent rolls forward. Shape R1."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from fleet.wire import EnvVar, HealthCheck, Lifecycle, Phase, Port, PullPolicy, Resources, Service, Volume
from harness.checks.container_make import made_as_desired
from harness.checks.containers import untouched
from harness.checks.judge import Check
from harness.checks.replacements import never_reverted, replaced, rolled_in_order
from harness.checks.reporting import never_reported, reported
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, LIFECYCLE, Fleet, as_ordered, payload, sound, start_running

MAIN, SIDE = f"{APP}/main", f"{APP}/side"
STILL = "still"
STILL_MAIN = f"{STILL}/main"


@dataclass(frozen=True, slots=True)
class Order:
    """What `web` is to run from then on."""

    services: tuple[Service, ...]
    lifecycle: Lifecycle = LIFECYCLE


@dataclass(frozen=True, slots=True)
class Roll:
    """From the first order to the last; `at_once`: none of those in between is waited for.

    `replaces` are the slots that each further order makes anew, `keeps` those that none of them concerns. `beside`
    says that another deployment runs there; at the end, all of it is watched for `watched_s` more.
    """

    orders: tuple[Order, ...]
    replaces: tuple[str, ...] = (MAIN,)
    keeps: tuple[str, ...] = ()
    at_once: bool = False
    watched_s: float = 0.0
    beside: bool = False
    needs: tuple[str, ...] = ("podman",)


def rolls(*versions: Service) -> tuple[Order, ...]:
    """Of one service."""
    return tuple(Order((version,)) for version in versions)


def pairs(*versions: tuple[Service, Service]) -> tuple[Order, ...]:
    """Of a service `main` and a service `side`."""
    return tuple(Order((replace(main, name="main"), replace(side, name="side"))) for main, side in versions)


def edits(**fields: object) -> tuple[Order, ...]:
    """One service, and then another value of these fields."""
    return rolls(payload(), replace(payload(), **fields))  # type: ignore[arg-type] # fields of a Service


V1, V2, V3 = payload("v1"), payload("v2"), payload("v3")
AT_PORT = tuple(replace(version, ports=(Port(80, 18080),)) for version in (V1, V2, V3))
BESIDE = replace(V1, ports=(Port(80, 18081),))
DATA = Volume("data", "/data")
RICH = replace(payload(env={"MODE": "production", "TEXT": "a=b c"}), volumes=(DATA,))
EIGHT = tuple(replace(V1, name=f"service-{number:02d}") for number in range(8))

ROLLS: Mapping[str, Roll] = {
    "image": Roll(rolls(V1, V2, V3)),
    "env": Roll(
        rolls(*(replace(V1, env=(EnvVar("MODE", mode), EnvVar("TEXT", "a=b c"))) for mode in ("one", "two", "three")))
    ),
    "env-dropped": Roll(rolls(payload(env={"A": "1", "B": "2"}), payload(env={"A": "1"}))),
    "volumes": Roll(edits(volumes=(Volume("/etc", "/srv", read_only=True), DATA))),
    "volume-read-only": Roll(rolls(*(replace(V1, volumes=(replace(DATA, read_only=ro),)) for ro in (False, True)))),
    "command": Roll(rolls(V1, payload("v1", "serve", "80"))),
    "grace": Roll((Order((V1,), Lifecycle("SIGTERM", 2)), Order((V1,), Lifecycle("SIGTERM", 3)))),
    "signal": Roll((Order((V1,), Lifecycle("SIGTERM", 2)), Order((V1,), Lifecycle("SIGINT", 2)))),
    "resources": Roll(edits(resources=Resources(500, 1 << 26))),
    "ports": Roll(rolls(AT_PORT[0], BESIDE)),
    "same-host-port": Roll(rolls(*AT_PORT)),
    "ports-swapped": Roll(pairs((AT_PORT[0], BESIDE), (BESIDE, AT_PORT[0])), replaces=(MAIN, SIDE)),
    "one-of-two": Roll(pairs((V1, V1), (V2, V1), (V3, V1)), keeps=(SIDE,)),
    "generation-alone": Roll(rolls(RICH, RICH, RICH), replaces=(), keeps=(MAIN,), watched_s=1.5),
    "pull-policy-alone": Roll(edits(image_pull_policy=PullPolicy.NEVER), replaces=(), keeps=(MAIN,)),
    "health-check-alone": Roll(
        edits(health_check=HealthCheck(("/bin/sh", "-c", "true"), 1, 1, 1)), replaces=(), keeps=(MAIN,)
    ),
    "order-of-services": Roll(
        (Order((V1, replace(V1, name="side"))), Order((replace(V1, name="side"), V1))), (), (MAIN, SIDE)
    ),
    "back-again": Roll(rolls(V1, V2, V1)),
    "three-at-once": Roll(rolls(V1, V2, payload("v2", env={"MODE": "x"}), V3), at_once=True),
    "there-and-back-at-once": Roll(rolls(V1, V2, V1, V2), at_once=True),
    "eight-services": Roll(
        (Order(EIGHT), Order(tuple(replace(each, image=V2.image) for each in EIGHT))),
        replaces=tuple(f"{APP}/{each.name}" for each in EIGHT),
    ),
    "beside-another": Roll(rolls(V1, V2, V3), keeps=(STILL_MAIN,), beside=True),
}


@pytest.mark.rule("A1", "A3", "A5")
@cases("roll-forward", ROLLS)
async def test_roll_forward(env: Environment, case: Roll) -> None:
    """Each order is carried out as it says, loses as little time as it can, and touches nothing else.

    SETUP   a device with podman and its agent; the first order runs
    ACTION  the further orders, one after the other, or all at once
    ASSERT  what runs is made as the last order says; each replacement was created before the old one ended, started
            after it, never two at once; what no order concerns was not touched; no report said Failed
    """
    env.step("setup", f"{DEVICE} runs the first of {len(case.orders)} orders")
    first, *others = case.orders
    fleet = await start_running(env, first.services, first.lifecycle)
    if case.beside:
        await fleet.run([V1], deployment=STILL)
    await env.mark("roll")

    for number, order in enumerate(others, start=2):
        env.step("action", f"order {number} of {len(case.orders)}")
        if case.at_once and order is not others[-1]:
            await fleet.put(order.services, order.lifecycle)
            continue
        with still_judged():
            await fleet.run(order.services, order.lifecycle)
    if case.watched_s:
        await env.wait_quiet(case.watched_s, deadline_s=2 * case.watched_s)
    await rolled(env, fleet, case)


async def rolled(env: Environment, fleet: Fleet, case: Roll) -> None:
    """Its checks."""
    await fleet.look_into_all()
    await env.mark("rolled")
    env.step("assert", "what runs is as the last order says, and what it did not concern was left alone")
    checks: list[Check] = []
    for slot in case.replaces:
        deployment, _, service = slot.partition("/")
        checks += [replaced(DEVICE, slot, "roll"), rolled_in_order(DEVICE, deployment, service)]
    if case.replaces and not case.at_once:
        checks.append(never_reverted)
    if case.keeps:
        checks.append(untouched("roll", "rolled", case.keeps))
    require_pass(
        await env.judge(
            *sound(),
            *checks,
            made_as_desired(DEVICE),
            never_reported(DEVICE, APP, Phase.FAILED, "roll"),
            *as_ordered(),
        )
    )


@dataclass(frozen=True, slots=True)
class Health:
    """`good_by` says what turns the check from bad to good: what it looks at, or another check."""

    good_by: Literal["what-it-looks-at", "another-check"]
    needs: tuple[str, ...] = ("podman",)


HEALTHS: Mapping[str, Health] = {
    "health-turns-good": Health("what-it-looks-at"),
    "health-check-mended": Health("another-check"),
}


@pytest.mark.rule("A12", "A21")
@cases("roll-forward", HEALTHS)
async def test_health_decides_the_phase_alone(env: Environment, case: Health) -> None:
    """A health check that fails and then passes is reported both times, and the container is never touched.

    SETUP   v1 runs, and its health check looks for a file that is not there: reported is Failed, Unhealthy
    ACTION  the file is made, or the order changes to a check that passes
    ASSERT  Running is reported; nothing was done to the container
    """
    env.step("setup", f"{DEVICE} runs a container whose health check fails")
    fleet = await start_running(env)
    folder = fleet.device.host.root / "health"
    folder.mkdir()
    unhealthy = replace(
        V1,
        volumes=(Volume(str(folder), "/health", read_only=True),),
        health_check=HealthCheck(("/bin/sh", "-c", "[ -e /health/good ]"), 1, 1, 1),
    )
    await fleet.put([unhealthy])
    with still_judged():
        await fleet.told(Phase.FAILED, reason="Unhealthy")
        await fleet.settled({"main"})
    await env.mark("unhealthy")

    env.step("action", f"it turns good by {case.good_by}")
    with still_judged():
        if case.good_by == "another-check":
            await fleet.run([replace(unhealthy, health_check=HealthCheck(("/bin/sh", "-c", "true"), 1, 1, 1))])
        else:
            (folder / "good").touch()
            await fleet.told(Phase.RUNNING)
    await env.mark("healthy")

    env.step("assert", "both were reported, and the container ran on")
    require_pass(
        await env.judge(
            *sound(),
            reported(DEVICE, APP, Phase.FAILED, "Unhealthy", at="unhealthy"),
            untouched("unhealthy", "healthy", (MAIN,)),
            *as_ordered(),
        )
    )
