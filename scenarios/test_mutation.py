"""Family: what goes on while the operator rebuilds its view. Shape 16: objects change under its hands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.identical import writes_byte_identical
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.moments import held_over, right_after_convergence, while_recovering
from harness.checks.objects import objects_kept
from harness.checks.reference_run import equals_reference
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.bandwidth import Bandwidth
from harness.faults.kill import Kill
from harness.history import Record, Recovery
from harness.services.gate import Rule
from harness.services.operator import CONVERGED, OperatorProcess
from harness.triggers import Trigger, recovery_progress
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.clean_run import run_twice
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, Size, create, wait_status_true
from scenarios.worlds.looking import wait_gone
from scenarios.worlds.mutations import Mutation, Mutator

SIZE = Size(8, 4)
NEWCOMER = "device-0008"
# Several times what it takes; a defective operator is waited for as long.
TRUE_WITHIN_S = 10.0
# More than a tick: what an operator still has to say it says within that time.
QUIET_S = 1.5
# A bucket's entries, some hundred bytes each, come one by one.
NARROW_KB_S = 6
# Edits that are made and witnessed so soon after convergence count as made at that instant.
AT_CONVERGENCE_S = 2.0

Moment = Literal["list", "watch", "replay", "convergence"]
Edits = Sequence[Mutation]

EDIT: Edits = (
    Mutation(0.0, "edit image", "app-00", version=2),
    Mutation(0.0, "edit selector", "app-01", group=2),
)
CREATE: Edits = (
    Mutation(0.0, "create deployment", "app-04", group=1),
    Mutation(0.0, "create device", NEWCOMER, group=2),
)
DELETE: Edits = (Mutation(0.0, "delete deployment", "app-02"), Mutation(0.0, "delete device", "device-0003"))
RELABEL: Edits = (
    Mutation(0.0, "edit labels", "device-0001", group=2),
    Mutation(0.0, "block", "device-0002"),
)
REPLACE: Edits = (Mutation(0.0, "delete deployment", "app-03"),)
REPLACED: Edits = (Mutation(0.0, "create deployment", "app-03", group=0),)


@dataclass(frozen=True, slots=True)
class Mutating:
    """`then` follows once the operator has let go of what was deleted.

    `resource` is the one whose request is held, `bucket` the one whose replay is under way.
    """

    moment: Moment
    edits: Edits
    then: Edits = ()
    resource: Literal["deployments", "devices"] = "deployments"
    bucket: Bucket = Bucket.DESIRED_STATE

    @property
    def takes_away(self) -> bool:
        """Whether keys are to be deleted."""
        return any(not mutation.kind.startswith("create") for mutation in self.edits)

    @property
    def deletes(self) -> bool:
        """Whether objects are."""
        return any(mutation.kind.startswith("delete") for mutation in self.edits)


ALL: Edits = (*EDIT, *CREATE, *DELETE, *RELABEL, *REPLACE)


@cases(
    "cr-mutation-during-rebuild",
    {
        "before-list-edit": Mutating("list", EDIT),
        "before-list-delete": Mutating("list", DELETE),
        "before-device-list-relabel": Mutating("list", RELABEL, resource="devices"),
        "list-to-watch-edit": Mutating("watch", EDIT),
        "list-to-watch-create": Mutating("watch", CREATE),
        "list-to-watch-delete": Mutating("watch", DELETE),
        "list-to-watch-replace": Mutating("watch", REPLACE, then=REPLACED),
        "list-to-watch-relabel": Mutating("watch", RELABEL, resource="devices"),
        "replay-edit": Mutating("replay", EDIT),
        "replay-delete": Mutating("replay", DELETE),
        "report-replay-all": Mutating("replay", ALL, then=REPLACED, bucket=Bucket.DEVICE_STATE),
        "at-convergence-edit": Mutating("convergence", EDIT),
        "at-convergence-all": Mutating("convergence", ALL, then=REPLACED),
    },
)
async def test_mutation_during_rebuild(env: Environment, case: Mutating) -> None:
    """Whenever objects change while an operator rebuilds its view, the world ends as if nobody had died.

    SETUP   8 devices and 4 deployments, all running; the same in a clean world beside this one
    ACTION  kill the operator, start it again; at a moment of its rebuild create, edit or delete objects;
            in the clean world the same edits, while its operator simply runs
    ASSERT  the moment was the one meant; both worlds end alike; no status and no key is wrong
    """

    async def disturbed(world: Environment) -> None:
        operator, _ = await start_running(world)
        await world.mark("restart")
        kill = Kill(operator, world.start_operator)
        await world.strike(kill)
        world.step("action", f"start it again; {len(case.edits)} edits at the moment: {case.moment}")
        await AT[case.moment](world, kill, case)
        with still_judged():
            await follow_up(world, case)

    async def clean(world: Environment) -> None:
        await start_running(world)
        await edit(world, case.edits)
        await follow_up(world, case)

    await run_twice(env, disturbed, clean)
    env.step("assert", "the world is as in the clean run")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        *moment_checks(case),
        no_unexpected_exit,
        converged_in_time("restart", CONVERGE_S),
        equals_reference,
        wanted_keys_present,
        status_true,
        writes_byte_identical,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.takes_away:
        checks.append(deletes_justified)
    if case.deletes:
        checks.append(objects_kept)
    require_pass(await env.judge(*checks))


async def start_running(world: Environment) -> tuple[OperatorProcess, ScriptedDevices]:
    await create(world, SIZE)
    operator = await world.start_operator()
    await operator.wait_converged(CONVERGE_S)
    devices = await world.start_devices(SIZE.device_names)
    await devices.wait_ready()
    await wait_status_true(world, SETTLE_S)
    return operator, devices


async def edit(world: Environment, edits: Edits) -> None:
    await Mutator(world).run(edits)


async def follow_up(world: Environment, case: Mutating) -> None:
    """What is done once nothing is held any more, and the end of it all."""
    await edit(world, case.then)
    back = {mutation.name for mutation in case.then}
    for mutation in case.edits:
        if mutation.kind.startswith("delete") and mutation.name not in back:
            await wait_gone(world, f"{mutation.kind.removeprefix('delete ')}s", mutation.name)
    if any(mutation.name == NEWCOMER for mutation in case.edits):
        newcomer = await world.start_devices([NEWCOMER])
        await newcomer.wait_ready()
    await wait_status_true(world, TRUE_WITHIN_S)
    await world.wait_quiet(QUIET_S, deadline_s=TRUE_WITHIN_S)


def held_rule(case: Mutating) -> Rule:
    """The operator's list (a look at one object is none), or its watch."""
    if case.moment == "watch":
        return Rule(f"{case.resource}-watch", "GET", rf"/{case.resource}\?(.*&)?watch=")
    return Rule(f"{case.resource}-list", "GET", rf"/{case.resource}(\?(?!.*watch=)(?!limit=1$).*)?$")


async def at_request(world: Environment, kill: Kill, case: Mutating) -> None:
    """While the operator's first list, or the watch after it, is held before the API server."""
    rule = held_rule(case)
    held = world.gate.hold(rule, 1)
    await world.mend(kill)
    await held.reached(SETTLE_S)
    await edit(world, case.edits)
    await world.mark("edited")
    held.release()
    world.gate.disarm(rule)


async def at_replay(world: Environment, kill: Kill, case: Mutating) -> None:
    """While a bucket is being replayed over a narrow link: some of its entries have come, and not all."""
    narrow = Bandwidth(world.links.operator_nats, NARROW_KB_S)
    await world.strike(narrow)
    replaying = recovery_progress(world.recorder, "operator-2", case.bucket, 2)
    await world.mend(kill)
    await replaying.fired(SETTLE_S)
    await edit(world, case.edits)
    await world.mark("edited")
    await world.mend(narrow)


async def at_convergence(world: Environment, kill: Kill, case: Mutating) -> None:
    """As soon as the operator says Converged."""

    def matches(record: Record) -> bool:
        return isinstance(record, Recovery) and record.process == "operator-2" and record.phase == CONVERGED

    converged = Trigger(world.recorder, "converged", 1, matches)
    await world.mend(kill)
    await converged.fired(SETTLE_S)
    await edit(world, case.edits)
    await world.mark("edited")


AT = {"list": at_request, "watch": at_request, "replay": at_replay, "convergence": at_convergence}


def moment_checks(case: Mutating) -> list[Check]:
    if case.moment == "convergence":
        return [right_after_convergence("restart", "edited", AT_CONVERGENCE_S)]
    recovering = while_recovering("restart", "edited")
    return [recovering] if case.moment == "replay" else [recovering, held_over(held_rule(case).name, 1, "edited")]
