"""What an operator may cost the broker and the API server, counted at their side."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import aiohttp
import msgspec

from harness.checks.consumers import consumers_unchanged
from harness.checks.flow import patches_match_status_changes
from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.window import Marks, Window, between
from harness.checks.writes import no_writes, wanted_keys_present
from harness.devices.load import WriteLoad
from harness.devices.writing import PUT_STATE
from harness.env import Environment
from harness.faults.cut import Cut
from harness.history import History, Op, Record
from harness.leaks import consumers
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, start_settled, wait_status_true

CUTS = 50
# After so many cuts the operator is left in peace until it has converged; the others hit it while it rebuilds.
CONVERGED_EACH = 10
RECONNECT_WITHIN_S = 30.0
CONSUMERS_WITHIN_S = 30.0

LOADED = Size(devices=100, deployments=20)
CHANGES_PER_S = 1000.0
# A little above what is judged. A machine with much else to do may need a while until it keeps that up for so long.
TARGET_OVER = 1.1
LOAD_S = 5.0
LOAD_CHANGES = int(CHANGES_PER_S * LOAD_S)
LOADED_WITHIN_S = 150.0


class _Connection(msgspec.Struct):
    cid: int
    # Told with its CONNECT: empty for whoever only looks whether somebody is there.
    lang: str = ""


class _Connections(msgspec.Struct):
    """The fields of nats-server's /connz that matter here."""

    connections: list[_Connection]


async def connection_ids(env: Environment) -> frozenset[int]:
    """Every client that has introduced itself to the broker."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"{env.nats.monitoring_url}/connz") as answer,
    ):
        found = msgspec.json.decode(await answer.read(), type=_Connections)
    return frozenset(connection.cid for connection in found.connections if connection.lang)


async def cut_once(env: Environment, operator: OperatorProcess) -> None:
    """Cut the operator's link to the broker and heal it; on return the operator has a connection again."""
    before = await connection_ids(env)
    cut = Cut(env.links.operator_nats)
    await env.strike(cut)
    await env.mend(cut)

    async def again() -> bool | None:
        operator.process.check_running()
        return True if await connection_ids(env) - before else None

    await wait_for("the operator to connect again", again, deadline_s=RECONNECT_WITHIN_S, interval_s=0.05)


async def test_reconnects_leave_no_consumer(env: Environment) -> None:
    """After 50 reconnects every stream has the consumers that it had before, and the fleet is as it was.

    SETUP   8 devices and 4 deployments, all running
    ACTION  cut the operator's link to the broker 50 times, mostly while it is still rebuilding
    ASSERT  as many consumers on every stream as before; nothing was written; every status is true
    """
    operator, _ = await start_settled(env, Size(8, 4))
    client = env.witnesses.buckets.client
    names = await consumers(client)
    await env.mark("before")
    env.step("action", f"cut the operator's link to the broker {CUTS} times")
    for number in range(1, CUTS + 1):
        await cut_once(env, operator)
        if number % CONVERGED_EACH == 0:
            await operator.wait_converged(CONVERGE_S)
    with still_judged():
        await operator.wait_converged(CONVERGE_S)

        async def as_many() -> bool | None:
            now = await consumers(client)
            return True if {b: len(n) for b, n in now.items()} == {b: len(n) for b, n in names.items()} else None

        await wait_for("the consumers of cut connections to go", as_many, deadline_s=CONSUMERS_WITHIN_S, interval_s=0.5)
        await wait_status_true(env, SETTLE_S)
    await env.mark("after")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            consumers_unchanged("before", "after"),
            no_writes("before", "after"),
            wanted_keys_present,
            status_true,
        )
    )


def most_within(acknowledged_s: Sequence[float], span_s: float) -> int:
    """How many acknowledgements, given in order, came in the best stretch of that length."""
    stretches = (at + 1 - bisect_left(acknowledged_s, end_s - span_s) for at, end_s in enumerate(acknowledged_s))
    return max(stretches, default=0)


def acknowledged_s(records: Iterable[Record]) -> list[float]:
    """When each report of a device was acknowledged."""
    return [op.at_s for op in records if isinstance(op, Op) and op.action == PUT_STATE and op.outcome == "ok"]


@check_of
def changes_acknowledged(start: str, end: str) -> Ask:
    """`changes-acknowledged`: between two marks devices reported for `LOAD_S` at `CHANGES_PER_S`, acknowledged."""
    name = "changes-acknowledged"

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        times_s = acknowledged_s(history.records[first : last - 1])
        most = most_within(times_s, LOAD_S)
        reason = f"{most} state changes in {LOAD_S:g} s (at least {LOAD_CHANGES}), {len(times_s)} in all"
        # If not, the harness did not do its part.
        return (passed if most >= LOAD_CHANGES else inconclusive)(name, reason)

    return between(name, Window(start, end), ask)


async def test_status_patches_are_changes(env: Environment) -> None:
    """Under 1,000 state changes per second each status costs one patch per tick in which it changed, and no more.

    SETUP   100 devices and 20 deployments, all running: 500 pairs
    ACTION  every pair fails and runs again, in turn, until 5,000 reports in 5 s were acknowledged
    ASSERT  as many patches at the API server as statuses changed; not one key was written; every status is true
    """
    _, devices = await start_settled(env, LOADED)
    await env.mark("load")
    env.step("action", f"{CHANGES_PER_S:.0f} state changes a second for {LOAD_S:g} s")
    load = WriteLoad(devices, CHANGES_PER_S * TARGET_OVER, failed_percent=100).start()
    try:
        await loaded(env)
        await load.stop()
    finally:
        await load.close()
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("rest")
    require_pass(
        await env.judge(
            operator_worked,
            no_unexpected_exit,
            changes_acknowledged("load", "rest"),
            patches_match_status_changes("load", "rest"),
            no_writes("load", "rest"),
            status_true,
        )
    )


async def loaded(env: Environment) -> None:
    """Wait until the devices have reported at the full rate for as long as is asked."""
    looked_at = len(env.recorder.records)
    times_s: list[float] = []

    def probe() -> bool | None:
        nonlocal looked_at
        new = env.recorder.records[looked_at:]
        looked_at += len(new)
        times_s.extend(acknowledged_s(new))
        # Whatever this costs is taken from the load: the last stretch alone is looked at.
        last = times_s[-LOAD_CHANGES:]
        return True if len(last) == LOAD_CHANGES and last[-1] - last[0] <= LOAD_S else None

    what = f"{LOAD_CHANGES} acknowledged reports in {LOAD_S:g} s"
    await wait_for(what, probe, deadline_s=LOADED_WITHIN_S, interval_s=0.2)
