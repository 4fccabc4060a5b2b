"""Family: what changes while no operator is there. Shape 4: Deployments are deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.crds import DEPLOYMENT
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.difference import held_by_brake, keys_purged, keys_written, others_kept
from harness.checks.going import deleted_objects_gone, reports_withdrawn
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.objects import objects_kept
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.power_off import PowerOff
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    GROUPS,
    QUIET_S,
    SETTLE_S,
    Size,
    deployment_body,
    start_again,
    start_settled,
)
from scenarios.worlds.looking import approve_when_held, wait_right, without_finalizer

SMALL = Size(8, 4)
# Two groups of ten: as many keys as may go without approval.
BORDER = Size(40, 4)
# Two groups of eleven and two of ten.
BEYOND = Size(42, 4)
DOTTED = Size(8, 4, dotted=True)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Which Deployments go, and how. `held` if the brake has to hold the sweep of their keys.

    By `force` nobody waits for the finalizer, so that no operator ever hears why they went. `again` is the group that
    one of the same name then selects.
    """

    gone: Sequence[int]
    force: bool = False
    size: Size = SMALL
    held: bool = False
    off: Sequence[int] = ()
    again: int | None = None

    @property
    def names(self) -> list[str]:
        return [self.size.deployment_names[i] for i in self.gone]

    @property
    def keys_gone(self) -> int:
        """Keys that nobody wants afterwards. A Deployment made again that selects the same wants them still."""
        return 0 if self.again == self.gone[0] else sum(map(self.size.selected, self.gone))

    @property
    def keys_new(self) -> int:
        """Keys to be written: another Deployment object is another owner, also of the same name."""
        return 0 if self.again is None else self.size.selected(self.again)


@cases(
    "deployment-deleted-while-down",
    {
        "finalizer-one": Deleted([0]),
        "finalizer-several-dotted": Deleted([0, 2], size=DOTTED),
        # By name, and so without the brake.
        "finalizer-all": Deleted(range(4), size=BORDER),
        "finalizer-devices-off": Deleted([0, 1], off=[0, 1]),
        "force-one": Deleted([0], force=True),
        "force-several-dotted": Deleted([0, 2], force=True, size=DOTTED),
        "force-devices-off": Deleted([0, 1], force=True, off=[0, 1]),
        "force-20-keys": Deleted([2, 3], force=True, size=BORDER),
        "force-22-keys-held": Deleted([0, 1], force=True, size=BEYOND, held=True),
        # However few they are: a list that is empty may be no list at all.
        "force-all-held": Deleted(range(4), force=True, held=True),
        "force-made-again": Deleted([0], force=True, again=0),
        "force-made-again-elsewhere": Deleted([0], force=True, again=1),
    },
)
async def test_deleted_while_down(env: Environment, case: Deleted) -> None:
    """What a Deployment left behind goes with it, and nothing else does, though nobody saw it go.

    SETUP   devices and deployments, all running
    ACTION  the operator is killed; deployments are deleted, with their finalizers pending or by force; the operator is
            started again; if it holds the sweep, that is approved after a while
    ASSERT  exactly their keys are deleted, devices tear down and report no more, the objects are gone; all other keys
            keep their revisions; what is held waits until it is approved
    """
    operator, devices = await start_settled(env, case.size)
    power = PowerOff(env.witnesses.buckets.client.jetstream(), devices, [case.size.device_names[i] for i in case.off])
    kill = Kill(operator, env.start_operator)
    await env.mark("down")
    how = "by force" if case.force else "with their finalizers pending"
    env.step("action", f"the operator is killed; {len(case.gone)} deployments are deleted {how}")
    await env.strike(kill)
    if case.off:
        await env.strike(power)
    for name in case.names:
        await delete(env, name, case)
    operator = await start_again(env, kill)
    if case.held:
        await approve_when_held(env, operator)
    with still_judged():
        await wait_right(env)
    if case.off:
        await env.mend(power)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", f"{case.keys_gone} keys gone, {case.keys_new} written, the others as they were")
    require_pass(await env.judge(*checks_of(case)))


async def delete(env: Environment, name: str, case: Deleted) -> None:
    if case.force:
        await without_finalizer(env, DEPLOYMENT.plural, name)
    else:
        await env.foundation.admin.delete(DEPLOYMENT.plural, env.namespace, name)
    if case.again is not None:
        body = deployment_body(name, case.again % GROUPS)
        await env.foundation.admin.create(DEPLOYMENT.plural, env.namespace, body)


def checks_of(case: Deleted) -> list[Check]:
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_in_time("down", CONVERGE_S),
        objects_kept,
        wanted_keys_present,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.again is not None or len(case.gone) < case.size.deployments:
        checks.append(status_true)
    if case.keys_gone:
        checks += [deletes_justified, keys_purged("down", "settled", case.keys_gone), reports_withdrawn("down")]
    if case.keys_gone < case.size.devices:
        checks.append(others_kept("down", "settled"))
    if case.keys_new:
        checks.append(keys_written("down", "settled", case.keys_new))
    if case.held:
        checks.append(held_by_brake("down", "approved", "settled", case.keys_gone))
    if not case.force:
        checks.append(deleted_objects_gone)
    return checks
