"""Family: revisions near the limits of numbers. Shape 10."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit
from harness.checks.naming import named_in_time
from harness.checks.status import status_true
from harness.checks.writes import (
    exactly_one_write_each,
    no_patches,
    no_writes,
    status_unchanged,
    wanted_keys_present,
)
from harness.env import Environment
from harness.faults.buckets import RevisionsFrom
from harness.faults.kill import Kill
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    edit_image,
    start_again,
    start_settled,
)
from scenarios.worlds.looking import wait_right

SIZE = Size(8, 4)
ALL = tuple(Bucket)
DESIRED, STATE = (Bucket.DESIRED_STATE,), (Bucket.DEVICE_STATE,)
# An operator waits ten seconds for messages that were promised, and looks every two whether any are.
NAMED_S = 25.0


@dataclass(frozen=True, slots=True)
class Revisions:
    """Buckets whose streams begin at `first_seq`; all others begin at the time of their making."""

    first_seq: int
    buckets: Sequence[Bucket] = ALL
    storage: Literal["file", "memory"] = "file"


@cases(
    "revision-extremes",
    {
        # The second half of the first eight writes is above.
        "53-crossed": Revisions(2**53 - 4),
        "53-below": Revisions(2**53 - 2**20),
        "53-at": Revisions(2**53),
        # A number that no double holds.
        "53-odd": Revisions(2**53 + 1),
        # With the eight writes and the edit's two it comes to the last revision that the file store can find again.
        "62-below": Revisions(2**62 - 10, DESIRED),
        "63-crossed-memory": Revisions(2**63 - 4, storage="memory"),
        "63-at-memory": Revisions(2**63, storage="memory"),
        "64-below-memory": Revisions(2**64 - 2**20, storage="memory"),
    },
)
async def test_high_revisions(env: Environment, case: Revisions) -> None:
    """However high revisions are, a restart in an unchanged world costs nothing, and an edit what it concerns.

    SETUP   streams that begin at such a revision; devices and deployments, all running, every status true
    ACTION  end the operator and start it again; then edit one deployment
    ASSERT  Converged with 0 desired-state writes and 0 status patches, status bytes the same; one write per device
            that the edit concerns; every key and status right
    """
    await begin_at(env, case)
    operator, _ = await start_settled(env, SIZE)
    edited = SIZE.deployment_names[0]

    await env.mark("restart")
    env.step("action", "SIGKILL to the operator, start it again")
    kill = Kill(operator, env.start_operator)
    await env.strike(kill)
    await start_again(env, kill)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("action", f"edit the image of {edited}, which concerns {SIZE.selected(0)} devices")
    await env.mark("edit")
    await edit_image(env, edited, "registry.example/app:2")
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("edit-settled")

    env.step("assert", "no write and no patch by the restart, exactly one write per device by the edit")
    require_pass(
        await env.judge(
            faults_bit,
            no_unexpected_exit,
            converged_in_time("restart", CONVERGE_S),
            no_writes("restart", "settled"),
            no_patches("restart", "settled"),
            status_unchanged("restart", "settled"),
            exactly_one_write_each("edit", "edit-settled", edited, SIZE.selected(0)),
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
        )
    )


@dataclass(frozen=True, slots=True)
class Failing(Revisions):
    """`then` is what happens once the fleet is there: with an edit the server's trouble only begins."""

    then: Literal["nothing", "edit", "restart"] = "nothing"


@cases(
    "revision-extremes",
    {
        "62-crossed-by-an-edit": Failing(2**62 - 9, DESIRED, then="edit"),
        "63-file": Failing(2**63, DESIRED),
        "63-file-restart": Failing(2**63, DESIRED, then="restart"),
        "63-file-state": Failing(2**63, STATE),
        "64-file": Failing(2**64 - 100, DESIRED),
        "64-crossed-memory": Failing(2**64 - 4, DESIRED, "memory"),
        "64-crossed-memory-state": Failing(2**64 - 4, STATE, "memory"),
    },
)
async def test_revisions_that_the_server_loses(env: Environment, case: Failing) -> None:
    """Where the server acknowledges what it then does not know, the operator does not claim to know, and says so.

    SETUP   a stream that begins where the server's own store fails; devices and deployments
    ACTION  the fleet starts, and writes what comes to nothing; or an edit does; or the operator is started again then
    ASSERT  soon and until the end /recovery or a Deployment's status names the bucket; no crash
    """
    await begin_at(env, case)
    source = case.buckets[0].value
    if case.then == "edit":
        operator, _ = await start_settled(env, SIZE)
        await env.mark("start")
        env.step("action", "an edit, whose writes come to where the server fails")
        await edit_image(env, SIZE.deployment_names[0], "registry.example/app:2")
    else:
        env.step("setup", f"{SIZE.devices} devices, {SIZE.deployments} deployments")
        await create(env, SIZE)
        operator = await env.start_operator()
        with still_judged():
            await operator.wait_converged(CONVERGE_S)
        await env.start_devices(SIZE.device_names)
        await env.mark("start")
    with still_judged():
        await wait_named(env, source)
    if case.then == "restart":
        env.step("action", "SIGKILL to the operator, start it again")
        kill = Kill(operator, env.start_operator)
        await env.strike(kill)
        await env.mark("start")
        await env.mend(kill)
        with still_judged():
            await wait_named(env, source)
    await env.mark("settled")

    env.step("assert", f"not Converged, and {source} is named")
    require_pass(await env.judge(faults_bit, no_unexpected_exit, named_in_time(source, "start", NAMED_S)))


async def begin_at(env: Environment, case: Revisions) -> None:
    js = env.witnesses.buckets.client.jetstream()
    env.step("setup", f"{', '.join(case.buckets)} begin at revision {case.first_seq}, stored in {case.storage}")
    for bucket in case.buckets:
        await env.strike(RevisionsFrom(js, bucket, case.first_seq, case.storage))


async def wait_named(env: Environment, source: str) -> None:
    """Wait until the operator, or a status that it wrote, complains of the source."""

    async def probe() -> bool | None:
        await env.settle_witnesses()
        return True if named_in_time(source, "start", NAMED_S)(env.recorder.history()).outcome == "pass" else None

    await wait_for(f"somebody to complain of {source}", probe, deadline_s=NAMED_S, interval_s=0.25)
