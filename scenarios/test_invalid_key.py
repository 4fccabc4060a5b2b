"""Family: what stands in the buckets and should not. Shape 13: keys that name nothing, and keys of nobody's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.wire import Bucket, desired_key
from harness.checks.contract import buckets_kept
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.malformed import malformed_counted
from harness.checks.odd_keys import left_alone, orphans_swept, wanted_keys_untouched
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, start_settled
from scenarios.worlds.looking import wait_keys, wait_right
from scenarios.worlds.odd_entries import back_if, by_hand, killed_if, wait_complaints
from scenarios.worlds.payloads import GOOD, MALFORMED_DESIRED

SIZE = Size(8, 4)
DOTTED = Size(8, 4, dotted=True)

# Empty tokens (`a..b`, `.a`, `a.`) and the empty key are not here: no broker stores them, they are no subject of the
# bucket. Spaces, tabs and line breaks neither: they end a subject in the protocol. Deployment names with dots do not
# exist: whatever stands before the last dot is the device id, so `device-0000.hello.world` is an orphan below.
# Wildcards are among the agents' keys: in desired-state the broker stores them and republishes them to nobody, so that
# no witness sees them.
ODD: Mapping[str, tuple[str, ...]] = {
    "no-dot": ("device-0000", "app-00"),
    "upper-case": ("Device-0000.app-00", "device-0000.App-00"),
    "other-characters": (
        "device_0000.app-00",
        "device-0000.app_00",
        "device=1.app",
        "device/1.app",
        "d,1.app",
        "d:1.app",
    ),
    "not-ascii": ("dévice-0000.app-00", "device-0000.äpp", "😀.app-00"),
    "control-characters": ("device-0000\x7f.app-00", "device-0000.app\x01"),
    "dash-at-an-end": ("-device.app-00", "device-.app-00", "device-0000.-app", "device-0000.app-"),
    "too-long": (f"{'d' * 254}.app-00", f"device-0000.{'a' * 64}", f"{'long.' * 600}app-00"),
}
ORPHANS: Mapping[str, tuple[str, ...]] = {
    "no-such-device": ("device-9999.app-00",),
    "no-such-deployment": ("device-0000.no-such",),
    "not-selected": ("device-0000.app-01", "device-0001.app-00"),
    "dots-before-the-last": ("device-0000.hello.world", "a.b.c.d.e.f.app-00", "device-0000.app-00.app-00"),
    "longest-names": (f"{'d' * 253}.app-00", f"device-0000.{'a' * 63}"),
}
OF_AGENTS: Mapping[Bucket, tuple[str, ...]] = {
    Bucket.DEVICE_STATE: (
        "device-0000.app-00",
        "state.app-00",
        "state.Device.app-00",
        "STATE.device-0000.app-00",
        "state",
        "state.device-0000.*",
        "state.*.app-00",
        "state.>",
    ),
    Bucket.DEVICE_INFO: ("device-0000", "info.Device-0000", "info.-d", f"info.{'d' * 254}", "infodevice-0000"),
    Bucket.DEVICE_HEARTBEAT: ("device-0000", "heartbeat.Device-0000", "heartbeat.d_1", "state.device-0000.app-00"),
}


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that name nothing and keys of orphans; `malformed` gives the orphans a value that nobody understands."""

    odd: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    of_agents: Mapping[Bucket, tuple[str, ...]] = field(default_factory=dict)
    malformed: bool = False
    down: bool = False
    size: Size = SIZE


def every(keys: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(key for group in keys.values() for key in group)


@cases(
    "invalid-key",
    {
        **{f"{name}-up": Keys(odd=keys) for name, keys in ODD.items()},
        "all-odd-down": Keys(odd=every(ODD), down=True),
        **{f"{name}-up": Keys(orphans=keys) for name, keys in ORPHANS.items()},
        "all-orphans-down": Keys(orphans=every(ORPHANS), down=True),
        "malformed-orphans-up": Keys(orphans=every(ORPHANS), malformed=True),
        "odd-and-orphans-down": Keys(odd=every(ODD), orphans=every(ORPHANS), down=True),
        "dotted-fleet-up": Keys(
            odd=("site-0.Rack.device-0000.app-00", "site-0.rack.device-0000.app_00"),
            orphans=("site-0.rack.app-00", "site-0.rack.device-0000.hello.app-00", "rack.device-0000.app-00"),
            size=DOTTED,
        ),
        "keys-of-agents-up": Keys(of_agents=OF_AGENTS),
        "keys-of-agents-down": Keys(of_agents=OF_AGENTS, down=True),
    },
)
async def test_invalid_keys(env: Environment, case: Keys) -> None:
    """What names nothing is logged and left, what names a pair that nobody wants goes, and nothing else is touched.

    SETUP   8 devices and 4 deployments, all running; or the operator is dead by now
    ACTION  somebody writes well-formed values under such keys, into desired-state or into the agents' buckets
    ASSERT  the first stand as they were written, counted and named once; the others have a delete marker, once;
            no wanted key was written, every status is true
    """
    operator, devices = await start_settled(env, case.size)
    await env.mark("struck")
    kill = await killed_if(env, operator, down=case.down)
    wanted = {desired_key(pair) for pair in devices.desired}
    value = devices.desired[min(devices.desired)].encode()
    orphan_value = MALFORMED_DESIRED["garbage"](value) if case.malformed else value
    desired = dict.fromkeys(case.odd, value) | dict.fromkeys(case.orphans, orphan_value)
    faults = [by_hand(env, bucket, dict.fromkeys(keys, GOOD[bucket])) for bucket, keys in case.of_agents.items()]
    if desired:
        faults.append(by_hand(env, Bucket.DESIRED_STATE, desired))
    env.step("action", "entries by hand, under keys that name nothing or nobody's")
    for fault in faults:
        await env.strike(fault)
    operator = await back_if(env, operator, kill)
    odd = len(case.odd) + sum(map(len, case.of_agents.values()))
    complaints = odd + (len(case.orphans) if case.malformed else 0)
    if complaints:
        with still_judged():
            await wait_complaints(env, operator, complaints)
    with still_judged():
        await wait_keys(env, wanted | set(case.odd))
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    for fault in faults:
        await fault.look()
    await env.mark("settled")

    env.step("assert", "odd keys are left, orphans are gone, wanted keys are untouched")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        wanted_keys_present,
        wanted_keys_untouched("struck", "settled"),
        status_true,
        buckets_kept,
    ]
    if odd:
        checks.append(left_alone)
    if complaints:
        checks.append(malformed_counted)
    if case.orphans:
        checks += [orphans_swept, deletes_justified]
    if case.down:
        checks.append(converged_in_time("struck", CONVERGE_S))
    require_pass(await env.judge(*checks))
