"""Family: what an agent rolls forward. Shape R4: services that an order has no more."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from fleet.wire import Lifecycle, Phase, Port, Service
from harness.checks.containers import untouched
from harness.checks.judge import Check
from harness.checks.replacements import ended
from harness.checks.reporting import never_reported
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, LIFECYCLE, as_ordered, payload, sound, start_running

MAIN, SIDE = f"{APP}/main", f"{APP}/side"
KILLED = 137
MARGIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Drop:
    """From these services to those. `drops` are the slots that go, with `exit_code`, `after_s` after the order."""

    before: tuple[Service, ...]
    after: tuple[Service, ...]
    drops: tuple[str, ...] = (SIDE,)
    keeps: tuple[str, ...] = (MAIN,)
    lifecycle: Lifecycle = LIFECYCLE
    exit_code: int = 0
    after_s: float = 0.0
    needs: tuple[str, ...] = ("podman",)


V1 = payload("v1")
SIDE_V1, OTHER = replace(V1, name="side"), replace(V1, name="other")
AT_PORT = (Port(80, 18080),)

DROPS: Mapping[str, Drop] = {
    "one-of-two": Drop((V1, SIDE_V1), (V1,)),
    "first-of-two": Drop((V1, SIDE_V1), (SIDE_V1,), drops=(MAIN,), keeps=(SIDE,)),
    "and-another-added": Drop((V1, SIDE_V1), (V1, OTHER)),
    "renamed": Drop((V1,), (OTHER,), drops=(MAIN,), keeps=()),
    "renamed-at-its-port": Drop(
        (V1, replace(SIDE_V1, ports=AT_PORT)), (V1, replace(OTHER, image=payload("v2").image, ports=AT_PORT))
    ),
    "stubborn": Drop(
        (V1, replace(payload("v1", "stubborn"), name="side")),
        (V1,),
        lifecycle=Lifecycle("SIGTERM", 1),
        exit_code=KILLED,
        after_s=1,
    ),
    "all-but-one": Drop(
        (V1, *(replace(V1, name=f"side-{number}") for number in range(5))),
        (V1,),
        drops=tuple(f"{APP}/side-{number}" for number in range(5)),
    ),
}


@pytest.mark.rule("A8")
@cases("service-dropped", DROPS)
async def test_service_dropped(env: Environment, case: Drop) -> None:
    """A service that an order has no more is stopped and removed; what the order keeps is not touched.

    SETUP   two services or more run
    ACTION  order the deployment without one of them, in some cases with another one in its place
    ASSERT  its container ended as its own lifecycle has it and is gone; the others ran on; what is wanted runs
    """
    env.step("setup", f"{DEVICE} runs {', '.join(service.name for service in case.before)}")
    fleet = await start_running(env, case.before, case.lifecycle)
    await env.mark("drop")

    env.step("action", f"order {', '.join(service.name for service in case.after)}")
    with still_judged():
        await fleet.run(case.after, case.lifecycle)
    await env.mark("dropped")

    env.step("assert", f"{', '.join(case.drops)} went, {', '.join(case.keeps) or 'nothing'} stayed")
    checks: list[Check] = [
        ended(
            DEVICE,
            slot,
            "drop",
            exit_code=case.exit_code,
            after_s_min=case.after_s,
            after_s_max=case.after_s + MARGIN_S,
        )
        for slot in case.drops
    ]
    if case.keeps:
        checks.append(untouched("drop", "dropped", case.keeps))
    require_pass(await env.judge(*sound(), *checks, never_reported(DEVICE, APP, Phase.FAILED, "drop"), *as_ordered()))
