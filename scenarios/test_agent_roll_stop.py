"""Family: what an agent rolls forward. Shape R3: how the old one is stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from fleet.wire import Lifecycle, Service
from harness.checks.judge import Check
from harness.checks.replacements import ended, never_reverted, replaced, rolled_in_order
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, as_ordered, payload, sound, start_running

MAIN, SIDE = f"{APP}/main", f"{APP}/side"
KILLED = 137
# What creating the new one takes before the stop, and podman to notice the end, on a busy machine.
MARGIN_S = 2.0
# Far more than any case waits.
LONG_S = 60


@dataclass(frozen=True, slots=True)
class Stop:
    """The old one with its lifecycle, and the lifecycle that the same order brings which replaces it.

    It is to end with `exit_code`, `after_s` after the order. `beside`: another service that ends when it is told to.
    """

    old: Service
    lifecycle: Lifecycle
    exit_code: int
    after_s: float
    next_lifecycle: Lifecycle | None = None
    beside: bool = False
    needs: tuple[str, ...] = ("podman",)


STUBBORN = payload("v1", "stubborn")
# Each waits for a child of its own, so that the signal comes through at once.
TAKES_A_SECOND = replace(
    STUBBORN, command=("/bin/sh", "-c", "trap 'sleep 1; exit 5' TERM; sleep 999 & while :; do wait $!; done")
)
HEEDS_USR1 = replace(STUBBORN, command=("/bin/sh", "-c", "trap '' TERM; trap 'exit 7' USR1; sleep 999 & wait"))

STOPS: Mapping[str, Stop] = {
    "killed-after-its-grace": Stop(STUBBORN, Lifecycle("SIGTERM", 1), KILLED, 1),
    "old-grace-short": Stop(STUBBORN, Lifecycle("SIGTERM", 1), KILLED, 1, Lifecycle("SIGTERM", LONG_S)),
    "old-grace-long": Stop(STUBBORN, Lifecycle("SIGTERM", 2), KILLED, 2, Lifecycle("SIGTERM", 0)),
    "old-signal": Stop(HEEDS_USR1, Lifecycle("SIGUSR1", LONG_S), 7, 0, Lifecycle("SIGTERM", LONG_S)),
    "grace-0": Stop(STUBBORN, Lifecycle("SIGTERM", 0), KILLED, 0),
    "sigkill": Stop(STUBBORN, Lifecycle("SIGKILL", LONG_S), KILLED, 0),
    "needs-half-its-grace": Stop(TAKES_A_SECOND, Lifecycle("SIGTERM", 2), 5, 1),
    "ends-at-once": Stop(payload("v1"), Lifecycle("SIGTERM", LONG_S), 0, 0),
    "holds-up-nobody": Stop(STUBBORN, Lifecycle("SIGTERM", 3), KILLED, 3, beside=True),
}


@pytest.mark.rule("A7", "A9")
@cases("sigterm-ignored", STOPS)
async def test_sigterm_ignored(env: Environment, case: Stop) -> None:
    """An old container is stopped with its own signal and its own grace, and killed when that is over, not before.

    SETUP   v1 runs, with a stop signal and a grace baked in
    ACTION  order v2, in some cases together with another signal and another grace
    ASSERT  v1 ended as its own values have it, in its own time; then v2 was started
    """
    env.step(
        "setup", f"{DEVICE} runs v1, which has {case.lifecycle.stop_signal} and {case.lifecycle.grace_period_secs} s"
    )
    side = (payload("v1", name="side"),) if case.beside else ()
    fleet = await start_running(env, [case.old, *side], case.lifecycle)
    await env.mark("order")

    env.step("action", f"order v2, with {case.next_lifecycle or 'the same lifecycle'}")
    services = [payload("v2"), *(replace(each, image=payload("v2").image) for each in side)]
    with still_judged():
        await fleet.run(services, case.next_lifecycle or case.lifecycle)

    env.step("assert", f"v1 ended with {case.exit_code} after {case.after_s:g} s")
    checks: list[Check] = []
    if case.beside:
        checks = [ended(DEVICE, SIDE, "order", exit_code=0, after_s_max=MARGIN_S), replaced(DEVICE, SIDE, "order")]
    require_pass(
        await env.judge(
            *sound(),
            ended(
                DEVICE,
                MAIN,
                "order",
                exit_code=case.exit_code,
                after_s_min=case.after_s,
                after_s_max=case.after_s + MARGIN_S,
            ),
            *checks,
            replaced(DEVICE, MAIN, "order"),
            rolled_in_order(DEVICE, APP, "main"),
            never_reverted,
            *as_ordered(),
        )
    )
