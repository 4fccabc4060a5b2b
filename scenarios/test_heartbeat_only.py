"""Family: what goes on while the operator rebuilds its view. Shape 17: signs of life, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.crds import DEPLOYMENT, DEVICE
from fleet.wire import Bucket, Heartbeat
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.idle import no_kubernetes_writes
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.malformed import PlantedEntries
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    SETTLE_S,
    Size,
    deployment_body,
    device_body,
    start_again,
    wait_status_true,
)
from scenarios.worlds.looking import SOON_S, beats_stored, wait_devices

FINALIZER = "fleet.fleetproof.dev/keys"
SIZE = Size(8, 1)
# As the Devices of group 0 are labelled, also by those that introduce themselves.
LABELS = {name: {"group": "g0"} for name in SIZE.device_names}
BEAT_EVERY_S = 0.1
BEATS = 100

BEAT = Heartbeat("1.0.0", "by-hand", 7, busy=False).encode()
CANDIDATES: Mapping[str, bytes] = {
    f"candidate.{name}": Heartbeat("2.0.0", "candidate", 1, busy=True, action_id="upgrade-1").encode()
    for name in SIZE.device_names
}
UNKNOWN: Mapping[str, bytes] = {f"heartbeat.stranger-{i}": BEAT for i in range(20)}
MALFORMED: Mapping[str, bytes] = {
    "heartbeat.empty": b"",
    "heartbeat.no-json": b"<html>502</html>",
    "heartbeat.cut-short": BEAT[:-9],
    "heartbeat.not-utf8": b"\xff\xfe\x00",
    "heartbeat.deep": b"[" * 3000 + b"]" * 3000,
    "heartbeat.too-long": BEAT[:-1] + b',"x":"' + b"x" * 5000 + b'"}',
    "heartbeat.wrong-types": BEAT.replace(b"7", b'"seven"'),
    "heartbeat.huge-sequence": BEAT.replace(b"7", b"9" * 400),
    "heartbeat.Not-A-Name": BEAT,
    "heartbeat._": BEAT,
    "beat": BEAT,
}


@dataclass(frozen=True, slots=True)
class Beating:
    """`registered`: the Devices are there and in order before the operator is. `planted` are beats by hand."""

    registered: bool = True
    fresh: bool = False
    restart: bool = False
    beat_every_s: float = BEAT_EVERY_S
    beats: int = BEATS
    planted: Mapping[str, bytes] = field(default_factory=dict)


@cases(
    "heartbeat-only",
    {
        "fresh-start": Beating(fresh=True),
        "introduced": Beating(registered=False),
        "restart": Beating(restart=True),
        "introduced-restart": Beating(registered=False, restart=True),
        "many-beats": Beating(beat_every_s=0.02, beats=1000),
        "candidate-beats": Beating(restart=True, planted=CANDIDATES),
        "unknown-devices": Beating(restart=True, planted=UNKNOWN),
        "malformed-beats": Beating(restart=True, planted=MALFORMED),
    },
)
async def test_heartbeat_only(env: Environment, case: Beating) -> None:
    """Signs of life alone cost Kubernetes nothing and make nothing of it; the devices are there when they are needed.

    SETUP   8 devices that beat and no Deployment; the Devices are there, or come of what the devices say of themselves
    ACTION  many beats, of candidates, strangers and malformed ones too, and a restart; then a first Deployment
    ASSERT  no operator wrote an object or a key while there were only beats; afterwards every status is right
    """
    operator = await start_beating(env, case)
    await beat_on(env, case, operator)

    env.step("action", "a first Deployment, for all of them")
    await env.foundation.admin.create(DEPLOYMENT.plural, env.namespace, deployment_body("app-00", 0))
    with still_judged():
        await wait_status_true(env, SETTLE_S)

    env.step("assert", "nothing was written for the beats, and the devices run what came")
    checks: list[Check] = [
        no_unexpected_exit,
        no_kubernetes_writes("beats", "beats-end", case.beats),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        buckets_kept,
    ]
    if not case.fresh:
        checks.append(no_writes("beats", "beats-end"))
    if case.fresh or case.restart:
        checks.append(converged_in_time("beats", CONVERGE_S))
    if case.restart:
        checks.append(faults_bit)
    require_pass(await env.judge(*checks))


async def start_beating(env: Environment, case: Beating) -> OperatorProcess:
    """On return nothing is left to be written about the devices. The mark `beats` is set here."""
    env.step("setup", f"{SIZE.devices} devices that beat every {case.beat_every_s:g} s, no Deployment")
    if case.registered:
        await env.foundation.admin.create_many(DEVICE.plural, env.namespace, map(in_order, SIZE.device_names))
    if case.fresh:
        await env.mark("beats")
    operator = await env.start_operator()
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
    devices = await env.start_devices(SIZE.device_names, labels=LABELS, beat_every_s=case.beat_every_s)
    await devices.wait_ready(SOON_S)
    await wait_devices(env, SIZE.devices)
    if not case.fresh:
        await env.mark("beats")
    return operator


async def beat_on(env: Environment, case: Beating, operator: OperatorProcess) -> None:
    """The mark `beats-end` is set once so many beats were stored since the call."""
    env.step("action", f"{case.beats} beats{', a restart' if case.restart else ''}, {len(case.planted)} by hand")
    begun = await beats_stored(env)
    js = env.witnesses.buckets.client.jetstream()
    planted = PlantedEntries(js, env.recorder, Bucket.DEVICE_HEARTBEAT, case.planted)
    if case.planted:
        await env.strike(planted)
    if case.restart:
        kill = Kill(operator, env.start_operator)
        await env.strike(kill)
        await start_again(env, kill)

    async def enough() -> bool | None:
        return True if await beats_stored(env) - begun >= case.beats else None

    await wait_for(f"{case.beats} heartbeats", enough, deadline_s=SOON_S, interval_s=0.1)
    await env.mark("beats-end")
    if case.planted:
        await env.mend(planted)


def in_order(name: str) -> dict[str, object]:
    """A Device as an operator leaves it: there is nothing to write to it."""
    return {**device_body(name, 0), "metadata": {"name": name, "finalizers": [FINALIZER]}}
