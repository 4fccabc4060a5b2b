"""Family: what stands in the buckets and should not. Shape 11: reports that nobody understands, or of nobody's."""

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fleet.wire import Bucket, DeviceState, Pair, Phase, deployment_name, device_id, state_key
from harness.checks.contract import buckets_kept
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.malformed import malformed_counted
from harness.checks.newest_event import status_true_at
from harness.checks.odd_keys import orphans_swept, wanted_keys_untouched
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, start_settled
from scenarios.worlds.looking import wait_right
from scenarios.worlds.odd_entries import ONE, SIZE, back_if, by_hand, failed_now, killed_if, report, wait_complaints
from scenarios.worlds.payloads import MALFORMED_STATE

ALL_KINDS = tuple(MALFORMED_STATE)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Which kinds, in turn over so many entries; `replay`: written while no operator is there."""

    kinds: tuple[str, ...]
    entries: int = 1
    replay: bool = False
    deleted: bool = False


@cases(
    "malformed-device-state",
    {
        **{f"{kind}-replay": Malformed((kind,), replay=True) for kind in ALL_KINDS},
        "one-up": Malformed(("unknown-phase",)),
        "many-up": Malformed(ALL_KINDS, entries=6),
        "many-replay": Malformed(ALL_KINDS[4:], entries=6, replay=True),
        "deployment-up": Malformed(("wrong-type", "empty"), entries=2),
        "deployment-replay": Malformed(("duplicate-key", "cut-short"), entries=2, replay=True),
        "all-up": Malformed(ALL_KINDS, entries=8),
        "all-replay": Malformed(ALL_KINDS[2:], entries=8, replay=True),
        "deleted-up": Malformed(("cut-short",), deleted=True),
        "deleted-replay": Malformed(("cut-short",), replay=True, deleted=True),
    },
)
async def test_malformed_reports(env: Environment, case: Malformed) -> None:
    """A report that nobody understands costs its own pair at most; every other status is true, and a good one heals.

    SETUP   8 devices and 4 deployments, all running; or the operator is dead by now
    ACTION  malformed values take the place of one, some or all reports of a Deployment, or of all; the other devices
            report something new; then a good report follows, or the entry is deleted
    ASSERT  each is counted and named once; every status is true while they stand and after they are gone; no write
    """
    operator, devices = await start_settled(env, SIZE)
    await env.mark("struck")
    kill = await killed_if(env, operator, down=case.replay)
    # Both devices of the first Deployment come first, then both of the next.
    pairs = sorted(devices.desired, key=lambda pair: (pair.deployment, pair.device))
    bad, others = pairs[: case.entries], pairs[case.entries :]
    values = {
        state_key(pair): MALFORMED_STATE[kind](failed_now(devices.desired[pair]).encode())
        for pair, kind in zip(bad, itertools.cycle(case.kinds))
    }

    async def report_well() -> None:
        await report(devices, dict.fromkeys(bad, Phase.FAILED))

    fault = by_hand(env, Bucket.DEVICE_STATE, values, cure=None if case.deleted else report_well)
    env.step("action", f"{len(bad)} malformed reports, then new ones of the other {len(others)} devices")
    await env.strike(fault)
    # What comes after a bad entry in the bucket is what a bad entry may spoil.
    await report(devices, {pair: (Phase.FAILED, Phase.PENDING)[n % 2] for n, pair in enumerate(others)})
    operator = await back_if(env, operator, kill)
    with still_judged():
        await wait_complaints(env, operator, len(bad))
    with still_judged():
        await wait_right(env)
    await env.mark("malformed")

    env.step("action", "the entries are deleted" if case.deleted else "the devices report well-formed failures")
    await env.mend(fault)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("healed")

    env.step("assert", "skipped, counted, healed; nothing else came of it")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        malformed_counted,
        status_true_at("malformed"),
        status_true,
        no_writes("struck", "healed"),
        wanted_keys_present,
        buckets_kept,
    ]
    if case.replay:
        checks.append(converged_in_time("struck", CONVERGE_S))
    require_pass(await env.judge(*checks))


@dataclass(frozen=True, slots=True)
class Stray:
    """Reports that are about something else: of these pairs, of another owner, or malformed on top."""

    pairs: tuple[Pair, ...]
    foreign: bool = False
    malformed: bool = False
    replay: bool = False


def strays(*names: tuple[str, str]) -> tuple[Pair, ...]:
    return tuple(Pair(device_id(device), deployment_name(deployment)) for device, deployment in names)


NOT_SELECTED = strays(("device-0000", "app-01"), ("device-0001", "app-00"))
UNKNOWN = strays(("device-9999", "app-00"), ("device-0000", "no-such"), ("site.rack.device-9999", "app-00"))


@cases(
    "malformed-device-state",
    {
        # A report does not name its device. What it can say falsely is whose desired state it is about.
        "foreign-owner-up": Stray((ONE,), foreign=True),
        "foreign-owner-replay": Stray((ONE,), foreign=True, replay=True),
        "not-selected-up": Stray(NOT_SELECTED),
        "not-selected-replay": Stray(NOT_SELECTED, replay=True),
        "unknown-pair-up": Stray(UNKNOWN),
        "unknown-pair-replay": Stray(UNKNOWN, replay=True),
        "malformed-of-nobody": Stray((*NOT_SELECTED, *UNKNOWN), malformed=True),
    },
)
async def test_stray_reports(env: Environment, case: Stray) -> None:
    """A report about another owner counts as pending; one about a pair that nobody wants gets a delete marker.

    SETUP   8 devices and 4 deployments, all running; or the operator is dead by now
    ACTION  somebody writes well-formed reports that say Running, or malformed ones, under such keys
    ASSERT  the pair is pending until its device reports again; each unwanted pair is told to end, once; no other write
    """
    operator, devices = await start_settled(env, SIZE)
    await env.mark("struck")
    kill = await killed_if(env, operator, down=case.replay)
    owner = (
        replace(devices.desired[ONE].owner, uid="another-deployment") if case.foreign else devices.desired[ONE].owner
    )
    value = DeviceState(Phase.RUNNING, datetime.now(UTC), owner).encode()
    if case.malformed:
        value = MALFORMED_STATE["unknown-phase"](value)

    async def run() -> None:
        await report(devices, {ONE: Phase.RUNNING})

    fault = by_hand(
        env, Bucket.DEVICE_STATE, {state_key(p): value for p in case.pairs}, cure=run if case.foreign else None
    )
    env.step("action", f"reports of {len(case.pairs)} pairs, by hand")
    await env.strike(fault)
    operator = await back_if(env, operator, kill)
    if case.malformed:
        with still_judged():
            await wait_complaints(env, operator, len(case.pairs))
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("strayed")
    await env.mend(fault)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("healed")

    env.step("assert", "statuses are true, what nobody wants is told to end")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        status_true_at("strayed"),
        status_true,
        wanted_keys_present,
        wanted_keys_untouched("struck", "healed"),
    ]
    if case.malformed:
        checks += [malformed_counted, no_writes("struck", "healed")]
    elif not case.foreign:
        checks.append(orphans_swept)
    require_pass(await env.judge(*checks))
