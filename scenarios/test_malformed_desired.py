"""Family: what stands in the buckets and should not. Shape 12: desired state in an old format, or edited by hand."""

import itertools
from dataclasses import dataclass

from fleet.wire import Bucket, desired_key
from harness.checks.contract import buckets_kept
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.malformed import malformed_counted
from harness.checks.odd_keys import orphans_swept
from harness.checks.rewritten import brake_not_held, last_good_kept, rewritten_once
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.malformed import by_itself
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, Size, edit_image, start_settled
from scenarios.worlds.looking import wait_right
from scenarios.worlds.odd_entries import back_if, by_hand, killed_if, wait_complaints
from scenarios.worlds.payloads import DESIRED, MALFORMED_DESIRED, RIGHT_DESIRED, WRONG_DESIRED

SMALL = Size(8, 4)
# More keys than the brake lets go unasked.
MANY = Size(28, 4)
# An operator that never rests was watched for long enough by then.
REST_WITHIN_S = 6.0
# Where nothing is to happen there is nothing to wait for but this.
LEFT_QUIET_S = 3.0
ORPHAN = "device-0000.no-such-deployment"


@dataclass(frozen=True, slots=True)
class Edited:
    """Which values, in turn over so many keys; `orphan` adds a key of a Deployment that is not there."""

    kinds: tuple[str, ...]
    keys: int = 1
    down: bool = False
    orphan: bool = False
    size: Size = SMALL

    @property
    def malformed(self) -> bool:
        return any(kind in MALFORMED_DESIRED for kind in self.kinds)

    @property
    def left(self) -> bool:
        return all(kind in RIGHT_DESIRED for kind in self.kinds)


@cases(
    "malformed-desired-state",
    {
        **{f"{kind}-up": Edited((kind,)) for kind in MALFORMED_DESIRED},
        **{f"{kind}-up": Edited((kind,)) for kind in (*WRONG_DESIRED, *RIGHT_DESIRED)},
        "garbage-down": Edited(("garbage",), down=True),
        "missing-field-down": Edited(("missing-field",), down=True),
        "unknown-field-down": Edited(("unknown-field",), down=True),
        "score-edited-down": Edited(("score-edited",), down=True),
        "foreign-uid-down": Edited(("foreign-uid",), down=True),
        "whitespace-down": Edited(("whitespace",), down=True),
        "8-keys-up": Edited((*MALFORMED_DESIRED, "score-edited"), keys=8),
        "8-keys-down": Edited((*MALFORMED_DESIRED, "foreign-uid"), keys=8, down=True),
        "28-keys-and-an-orphan-up": Edited(("missing-field",), keys=28, orphan=True, size=MANY),
        "28-keys-and-an-orphan-down": Edited(("truncated",), keys=28, orphan=True, size=MANY, down=True),
    },
)
async def test_malformed_desired(env: Environment, case: Edited) -> None:
    """What a Deployment does not ask for is put right by one write; what it asks for is left, in whatever bytes.

    SETUP   devices and Deployments, all running; or the operator is dead by now
    ACTION  somebody writes other values under wanted keys: of another format, edited, or of the same meaning; where
            they may stay, an administrator edits the Deployment afterwards
    ASSERT  one write for each that was wrong, none for any other key; the brake counts none of them as a sweep;
            devices that cannot understand a value keep to the last good one and say so
    """
    operator, devices = await start_settled(env, case.size)
    await env.mark("struck")
    kill = await killed_if(env, operator, down=case.down)
    pairs = sorted(devices.desired)[: case.keys]
    values = {
        desired_key(pair): DESIRED[kind](devices.desired[pair].encode())
        for pair, kind in zip(pairs, itertools.cycle(case.kinds))
    }
    fault = by_hand(env, Bucket.DESIRED_STATE, values, cure=by_itself)
    env.step("action", f"{len(values)} values by hand: {', '.join(case.kinds)}")
    await env.strike(fault)
    if case.orphan:
        value = devices.desired[pairs[0]].encode()
        await env.strike(by_hand(env, Bucket.DESIRED_STATE, {ORPHAN: value}))
    operator = await back_if(env, operator, kill)
    if case.malformed:
        with still_judged():
            await wait_complaints(env, operator, sum(kind in MALFORMED_DESIRED for kind in case.kinds[: len(values)]))
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(LEFT_QUIET_S if case.left else QUIET_S, deadline_s=REST_WITHIN_S)
    if not case.left:
        await env.mend(fault)
    await env.mark("settled")
    if case.left:
        edited = pairs[0].deployment
        env.step("action", f"an administrator edits {edited}")
        await edit_image(env, edited, "registry.example/app:2")
        with still_judged():
            await wait_right(env)

    env.step("assert", "each wrong value was put right once, nothing else was written")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        rewritten_once("struck", "settled"),
        wanted_keys_present,
        status_true,
        brake_not_held,
        buckets_kept,
    ]
    if case.malformed:
        checks += [malformed_counted, last_good_kept("struck", "settled")]
    if case.orphan:
        checks.append(orphans_swept)
    if case.down:
        checks.append(converged_in_time("struck", CONVERGE_S))
    require_pass(await env.judge(*checks))
