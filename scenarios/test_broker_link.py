"""Family: the operator dies and comes back, over a bad link to its broker. Shape 8.

operator --> relay (counts bytes, sees each end) --> toxiproxy (the fault) --> broker
"""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest

from fleet.wire import Bucket
from harness.checks.consumers import consumers_unchanged
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.cutting import cut_while_recovering
from harness.checks.heal import converged_after_heal
from harness.checks.judge import Check
from harness.checks.latch import latch_never_early
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.moments import while_recovering
from harness.checks.status import status_true
from harness.checks.writes import no_patches, no_writes, status_unchanged, wanted_keys_present
from harness.env import Environment
from harness.faults import blackhole, syscall
from harness.faults.bandwidth import Bandwidth
from harness.faults.blackhole import Blackhole
from harness.faults.bucket_loss import BucketsPurged
from harness.faults.cut import Cut
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.faults.limit_data import LimitData
from harness.faults.reset import Reset
from harness.faults.slicer import Slicer
from harness.faults.syscall import FailCall
from harness.faults.timeout import Timeout
from harness.services.operator import OperatorProcess
from harness.services.relay import Relay
from harness.services.veth_link import veth_link
from harness.triggers import link_ended, recovery_progress, source_lost
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, start_again, start_settled, wait_status_true

SIZE = Size(16, 12)
LINK = "operator-nats"
# One that is killed leaves its consumers to the broker, for which they are somebody's who may come back.
IN_ORDER = signal.SIGTERM
HIT_S = 20.0
HEALED_S = 15.0
# A replay of 48 keys takes about a second then, and /recovery shows how far it is.
NARROW_KB_S = 25

ALWAYS: Final = (
    operator_worked,
    faults_bit,
    while_recovering("restart", "hit"),
    latch_never_early,
    no_unexpected_exit,
    converged_after_heal(HEALED_S),
    wanted_keys_present,
    status_true,
    buckets_honour_contract,
    buckets_kept,
)
UNCHANGED: Final = (
    no_writes("restart", "settled"),
    no_patches("restart", "settled"),
    status_unchanged("restart", "settled"),
    consumers_unchanged("clean", "settled"),
)


@dataclass(frozen=True, slots=True)
class CutAt:
    """`share` of what the longest connection of a clean restart carries; each connection is cut there, `times` in all.

    `purged`: while nobody can get through, somebody purges all of desired-state, also what was replayed already.
    """

    share: float
    times: int = 1
    sliced: bool = False
    purged: bool = False


@cases(
    "nats-cut-mid-rebuild",
    {
        **{f"k{share:02d}": CutAt(share / 100) for share in (5, 18, 31, 44, 57, 70, 83, 95)},
        "k57-again-and-again": CutAt(0.57, times=6),
        "k70-sliced": CutAt(0.7, sliced=True),
        "k57-purged-meanwhile": CutAt(0.57, purged=True),
    },
)
async def test_cut_after_k_bytes(env: Environment, case: CutAt) -> None:
    """Wherever the connections of a rebuild are cut, what comes of it is a complete rebuild and nothing else.

    SETUP   16 devices and 12 deployments, all running; a clean restart shows how much each connection carries
    ACTION  restart while each connection to the broker is closed after k bytes; heal once one was cut at that byte
    ASSERT  no source is current before it has seen all; Converged soon after the heal; 0 desired-state writes, 0
            status patches, no consumer left; keys that were purged meanwhile are there again
    """
    async with Relay(LINK, env.links.operator_nats.listen, env.recorder) as relay:
        operator = await restarted_cleanly(env, relay)
        longest = max(relay.carried_bytes)
        limit = int(longest * case.share)

        env.step("action", f"restart; each connection to the broker is closed after {limit} of {longest} bytes")
        kill = Kill(operator, through(env, relay), IN_ORDER)
        await env.strike(kill)
        await env.mark("restart")
        faults: list[Fault] = [LimitData(env.links.operator_nats, limit)]
        if case.sliced:
            faults.append(Slicer(env.links.operator_nats, size_bytes=200, pause_us=200))
        for fault in faults:
            await env.strike(fault)
        cut = link_ended(env.recorder, LINK, case.times, carried_bytes=limit)
        await env.mend(kill)
        with still_judged():
            await cut.fired(HIT_S)
        if case.purged:
            env.step("action", f"somebody purges {Bucket.DESIRED_STATE}")
            js = env.witnesses.buckets.client.jetstream()
            # Its heal is what is judged: the operator writes the keys again.
            await env.strike(BucketsPurged(js, [Bucket.DESIRED_STATE]))
        await env.mark("hit")
        for fault in reversed(faults):
            await env.mend(fault)
        await settled(env, successor(kill))

        env.step("assert", "the rebuild was complete, and cost nothing but what was purged")
        unchanged: tuple[Check, ...] = () if case.purged else UNCHANGED
        require_pass(await env.judge(cut_while_recovering("restart", LINK, limit), *ALWAYS, *unchanged))


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to the link once half of a source has been replayed; `times` in a row.

    `until_noticed`: it lasts until the operator says that it has lost the source.
    """

    kind: str
    at: Bucket = Bucket.DESIRED_STATE
    times: int = 1
    until_noticed: bool = False


@cases(
    "nats-cut-mid-rebuild",
    {
        "cut-at-desired": Trouble("cut", until_noticed=True),
        "cut-at-reports": Trouble("cut", Bucket.DEVICE_STATE),
        "flapping": Trouble("cut", times=4),
        "reset": Trouble("reset"),
        "silent": Trouble("timeout"),
    },
)
async def test_link_trouble_half_way(env: Environment, case: Trouble) -> None:
    """Trouble with the link in the middle of a replay costs time, and nothing else.

    SETUP   16 devices and 12 deployments, all running; a clean restart shows how many entries each source has
    ACTION  restart over a narrow link; at half of a source's entries the link is cut, reset or silent, then healed
    ASSERT  no source is current before it has seen all; Converged soon after the heal; 0 desired-state writes, 0
            status patches, no consumer left
    """
    link = env.links.operator_nats
    troubles: dict[str, Callable[[], Fault]] = {
        "cut": lambda: Cut(link),
        "reset": lambda: Reset(link),
        "timeout": lambda: Timeout(link),
    }
    async with Relay(LINK, link.listen, env.recorder) as relay:
        trouble = troubles[case.kind]
        await half_way(env, relay, lambda _: trouble(), at=case.at, times=case.times, until_noticed=case.until_noticed)


@pytest.mark.needs(blackhole.CAPABILITY)
@cases("nats-cut-mid-rebuild", {"packets-lost": False, "packets-lost-until-noticed": True})
async def test_packets_lost_half_way(env: Environment, case: bool) -> None:
    """A network that swallows packets in the middle of a replay, and tells nobody.

    SETUP   as above; the operator's way to the broker is a pair of network devices
    ACTION  restart; at half of desired-state all packets are lost, for a moment or until the operator says that it
            has lost its sources; then they pass again
    ASSERT  as above
    """
    upstream = env.links.operator_nats.listen
    async with veth_link(LINK, upstream, warden=env.foundation.warden, recorder=env.recorder) as link:
        await half_way(env, link.relay, lambda _: Blackhole(link), until_noticed=case)


@pytest.mark.needs(syscall.CAPABILITY)
@cases("nats-cut-mid-rebuild", {"reads-fail": "ECONNRESET"})
async def test_reads_fail_half_way(env: Environment, case: str) -> None:
    """For a moment each read of each connection fails with an errno, as on a host that lost its network.

    SETUP   as above
    ACTION  restart; at half of desired-state each `recvfrom` of the operator fails, then none any more
    ASSERT  as above
    """

    def reads_fail(operator: OperatorProcess) -> Fault:
        return FailCall(operator, "recvfrom", case, onwards=True, warden=env.foundation.warden)

    async with Relay(LINK, env.links.operator_nats.listen, env.recorder) as relay:
        await half_way(env, relay, reads_fail)


async def half_way(
    env: Environment,
    relay: Relay,
    make: Callable[[OperatorProcess], Fault],
    *,
    at: Bucket = Bucket.DESIRED_STATE,
    times: int = 1,
    until_noticed: bool = False,
) -> None:
    """Restart over a narrow link; strike and mend once half of a source has come, so many times; then judge."""
    operator = await restarted_cleanly(env, relay)
    clean = operator.recovery
    half = clean.sources[at].seen // 2 if clean is not None and at in clean.sources else 1
    kill = Kill(operator, through(env, relay), IN_ORDER)
    await env.strike(kill)
    await env.mark("restart")
    narrow = Bandwidth(env.links.operator_nats, NARROW_KB_S)
    await env.strike(narrow)
    await env.mend(kill)
    operator = successor(kill)
    for number in range(times):
        env.step("action", f"trouble once {half} entries of {at} have come ({number + 1} of {times})")
        with still_judged():
            await recovery_progress(env.recorder, operator.process.name, at.value, half).fired(HIT_S)
        trouble = make(operator)
        await env.strike(trouble)
        if until_noticed:
            with still_judged():
                await source_lost(env.recorder, operator.process.name, at.value).fired(HIT_S)
        await env.mark("hit")
        await env.mend(trouble)
    await env.mend(narrow)
    await settled(env, operator)

    env.step("assert", "the rebuild was complete and cost nothing")
    require_pass(await env.judge(*ALWAYS, *UNCHANGED))


async def restarted_cleanly(env: Environment, relay: Relay) -> OperatorProcess:
    """A settled world, and an operator in its second life, which came up through the relay without any trouble."""
    operator, _ = await start_settled(env, SIZE)
    kill = Kill(operator, through(env, relay), IN_ORDER)
    await env.strike(kill)
    operator = await start_again(env, kill)
    carried = ", ".join(map(str, relay.carried_bytes))
    await env.mark("clean", f"a clean restart: its connections carried {carried} bytes")
    return operator


def through(env: Environment, relay: Relay) -> Callable[[], Awaitable[OperatorProcess]]:
    return lambda: env.start_operator({"FLEET_NATS_URL": f"nats://{relay.listen}"})


def successor(kill: Kill) -> OperatorProcess:
    if kill.successor is None:
        raise AssertionError("`mend` started a successor or raised")
    return kill.successor


async def settled(env: Environment, operator: OperatorProcess) -> None:
    """Wait until it has converged, statuses are true and nothing is written any more."""
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")
