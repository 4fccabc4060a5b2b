"""Family: what an agent is told. Shape R9: a delete marker takes a deployment away, and nothing else does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from fleet.wire import DesiredState, Owner, Phase
from harness.checks.containers import runs_as_desired, untouched
from harness.checks.judge import Check
from harness.checks.leftovers import torn_down
from harness.checks.life import faults_bit
from harness.checks.reporting import ids_reported, reported, reports_up_to_date
from harness.env import Environment
from harness.faults.cut import Cut
from harness.faults.unstored_word import Way
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, payload, sound
from scenarios.worlds.agent_orders import (
    APP_SLOTS,
    NEEDS,
    OTHER,
    OTHER_SLOT,
    start_two,
    tear_down_seen,
    unstored,
    wait_runs,
)

ALWAYS: tuple[Check, ...] = (*sound(), runs_as_desired(DEVICE))


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is wrong while the marker is written, and whether the same name is wanted again at once, by which image."""

    away: Literal["agent", "broker", "podman"] | None = None
    again: str | None = None
    needs: tuple[str, ...] = NEEDS


@pytest.mark.rule("A19")
@cases(
    "desired-deleted",
    {
        "one-of-two": Deleted(),
        "agent-down": Deleted("agent"),
        "offline": Deleted("broker"),
        "podman-away": Deleted("podman"),
        "made-again": Deleted(again="v1"),
        "made-again-otherwise": Deleted(again="v2"),
        "made-again-agent-down": Deleted("agent", again="v2"),
    },
)
async def test_deleted(env: Environment, case: Deleted) -> None:
    """A delete marker tears one deployment down wholly, whenever the agent comes to hear of it; the other runs on.

    SETUP   one device, two deployments, both running
    ACTION  a marker is stored for one of them while the agent is there, down, offline, or without podman; in some
            cases a deployment of that name is made again at once
    ASSERT  nothing of it is left: no container, no report, no file; or what was made again runs, and is reported under
            its own owner. The other one was not touched
    """
    fleet, _ = await start_two(env)
    await env.mark("deleted")
    env.step("action", f"a marker for {APP}" + (f", the {case.away} being away" if case.away else ""))
    cut = Cut(env.links.devices_nats)
    match case.away:
        case "agent":
            await fleet.device.agent.kill()
        case "broker":
            await env.strike(cut)
        case "podman":
            await fleet.device.host.stop_podman()
    await fleet.orders.delete(DEVICE, APP)
    again = await fleet.put([payload(case.again)]) if case.again else None
    match case.away:
        case "agent":
            await fleet.device.start_agent({"FLEET_TICK_S": "0.2"})
        case "broker":
            await env.mend(cut)
        case "podman":
            await fleet.device.host.start_podman()
    with still_judged():
        if again is None:
            await tear_down_seen(env, fleet)
        else:
            await wait_runs(env, again)
    await env.mark("settled")

    env.step("assert", f"{APP} is gone or made anew, {OTHER} was not touched")
    checks = [*ALWAYS, ids_reported(DEVICE), reports_up_to_date(DEVICE), untouched("deleted", "settled", (OTHER_SLOT,))]
    if again is None:
        checks.append(torn_down(DEVICE, APP))
    else:
        checks.append(reported(DEVICE, APP, Phase.RUNNING))
    if case.away == "broker":
        checks.append(faults_bit)
    require_pass(await env.judge(*checks))


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of `web`, of which generation 2 runs: `stored`, or heard on a subject and stored by nobody."""

    word: Literal["marker", "older", "other-uid", "other-bytes"]
    way: Way | Literal["stored"]
    needs: tuple[str, ...] = NEEDS


@pytest.mark.rule("A14", "A15")
@cases(
    "desired-deleted",
    {
        "marker-told": Word("marker", "told"),
        "marker-refused": Word("marker", "refused"),
        "older-told": Word("older", "told"),
        "older-stored": Word("older", "stored"),
        "other-uid-told": Word("other-uid", "told"),
        "other-uid-stored": Word("other-uid", "stored"),
        "other-bytes-told": Word("other-bytes", "told"),
        "other-bytes-stored": Word("other-bytes", "stored"),
    },
)
async def test_words(env: Environment, case: Word) -> None:
    """A word that might be a step back counts if it is what the stream's leader has stored, and only then.

    SETUP   one device, two deployments, both running; one of them in generation 2
    ACTION  a delete marker, the older generation, another owner or other bytes: stored, told to whoever listens
            without being stored, or refused by the server; then an edit of the other deployment, which is heard last
    ASSERT  what is stored is run and reported under its owner; what nobody stored changed nothing
    """
    fleet, first = await start_two(env)
    second = await fleet.put([payload("v2"), payload(name="side")])
    await wait_runs(env, second)
    value = word_of(case, first, second)
    await env.mark("said")
    env.step("action", f"{case.word} for {APP}: {case.way}")
    if case.way == "stored":
        if value is None:
            raise AssertionError("that a stored marker is obeyed is shown elsewhere")
        await fleet.orders.write(DEVICE, APP, value.encode())
        with still_judged():
            await wait_runs(env, value)
    else:
        await env.strike(unstored(env, None if value is None else value.encode(), case.way))
    edited = await fleet.put([payload("v2")], deployment=OTHER)
    # One word is taken after the other: what was said before this one has been judged by then.
    with still_judged():
        await wait_runs(env, edited, deployment=OTHER)
    await env.mark("settled")

    env.step("assert", "what is stored runs, whatever else was heard")
    checks = [*ALWAYS, ids_reported(DEVICE), reports_up_to_date(DEVICE), reported(DEVICE, APP, Phase.RUNNING)]
    if case.way != "stored":
        checks += [faults_bit, untouched("said", "settled", APP_SLOTS)]
    require_pass(await env.judge(*checks))


def word_of(case: Word, first: DesiredState, second: DesiredState) -> DesiredState | None:
    """None for a delete marker."""
    words: Mapping[str, DesiredState | None] = {
        "marker": None,
        "older": first,
        "other-uid": replace(first, owner=Owner("uid-of-another", 1)),
        "other-bytes": replace(first, owner=second.owner),
    }
    return words[case.word]
