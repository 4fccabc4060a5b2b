"""Family: the world is not the one that the operator knows. W1 and W2."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from fleet.crds import DEPLOYMENT, DEVICE
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.judge import Check
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import exactly_one_write_each, no_writes, wanted_keys_present
from harness.checks.wrong_world import brake_told, fleet_kept
from harness.env import Environment
from harness.faults.crds_reinstalled import CrdsReinstalled
from harness.faults.cut import Cut
from harness.faults.etcd_restored import EtcdBackup, EtcdRestored
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    deployment_body,
    edit_image,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.looking import started, stopped

SMALL = Size(8, 4)
# More keys than the brake lets go without approval.
MANY = Size(28, 4)
TOLD_WITHIN_S = 10.0
# An administrator applies the last objects slowly: the sweeper looks in between.
SLOW_OBJECTS = 3
LOOK_S = 1.5


async def wait_held(operator: OperatorProcess) -> None:
    """Until its brake holds a sweep."""

    def held() -> bool | None:
        return True if operator.recovery is not None and operator.recovery.held is not None else None

    await wait_for("the brake to hold a sweep", held, deadline_s=TOLD_WITHIN_S)


async def held_for_a_while(env: Environment, operator: OperatorProcess) -> None:
    """Until the brake holds, and then long enough for the sweeper to have looked again."""
    with still_judged():
        await wait_held(operator)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)


@dataclass(frozen=True, slots=True)
class Reinstall:
    operator: Literal["up", "down", "rebuilding"] = "up"
    size: Size = SMALL
    one_by_one: bool = False


@pytest.mark.own_cluster
@cases(
    "crds-reinstalled",
    {
        "up": Reinstall(),
        "down": Reinstall("down"),
        "rebuilding": Reinstall("rebuilding"),
        "applied-one-by-one": Reinstall("down", MANY, one_by_one=True),
    },
)
async def test_crds_reinstalled(env: Environment, case: Reinstall) -> None:
    """Definitions that go take every object with them, and no device stops for it.

    SETUP   devices and deployments, all running; the operator as the case has it
    ACTION  delete the definitions, take finalizers away by hand, apply the definitions; then apply the objects
    ASSERT  no key was deleted and none got another score; the brake said why; then every key and status is right
    """
    operator, _ = await start_settled(env, case.size)
    away = Cut(env.links.operator_nats)
    if case.operator == "down":
        await stopped(operator)
    elif case.operator == "rebuilding":
        env.step("action", "cut the operator's link to the broker: it knows nothing until the link is back")
        await env.strike(away)
    await env.mark("wrong")
    left = case.size.devices + case.size.deployments

    async def held_up() -> None:
        """Long enough for an operator to do to the keys of what is going whatever it would do."""
        if case.operator == "up":
            await held_for_a_while(env, operator)

    async def between() -> None:
        nonlocal left
        left -= 1
        if left <= SLOW_OBJECTS:
            await env.wait_quiet(LOOK_S, deadline_s=SETTLE_S)

    env.step("action", f"reinstall the definitions, the operator {case.operator}")
    reinstalled = CrdsReinstalled(
        env.foundation.kube,
        env.foundation.admin,
        env.namespace,
        held_up=held_up,
        between=between if case.one_by_one else None,
    )
    await env.strike(reinstalled)
    if case.operator == "rebuilding":
        await env.mend(away)
    with still_judged():
        if case.operator == "down":
            operator = await started(env)
        await operator.wait_converged(CONVERGE_S)
    await held_for_a_while(env, operator)
    await env.mark("held")

    env.step("action", "apply the objects again")
    await env.mend(reinstalled)
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.mark("settled")

    env.step("assert", "the fleet ran on, the brake said why, and all of it is true again")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            no_writes("wrong", "held"),
            brake_told("wrong", "settled", "keys are stored"),
            fleet_kept("wrong", "settled"),
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
        )
    )


Lacks = Literal["deployments", "devices", "edit", "delete", "everything"]


@dataclass(frozen=True, slots=True)
class Restore:
    """`lacks` is what was done after the backup was taken."""

    lacks: Lacks
    operator_up: bool = True


@pytest.mark.own_cluster
@cases(
    "etcd-restored",
    {
        "lacks-deployments-up": Restore("deployments"),
        "lacks-deployments-down": Restore("deployments", operator_up=False),
        "lacks-devices-up": Restore("devices"),
        "lacks-devices-down": Restore("devices", operator_up=False),
        "lacks-edit-up": Restore("edit"),
        "lacks-edit-down": Restore("edit", operator_up=False),
        "lacks-delete-up": Restore("delete"),
        "lacks-everything-up": Restore("everything"),
    },
)
async def test_etcd_restored(env: Environment, case: Restore) -> None:
    """What only the old store says is believed where it asks for something, and held where it takes something away.

    SETUP   devices and deployments, all running; a backup of etcd, after which something was made, edited or deleted
    ACTION  put the backup back, the operator up or down; then bring the objects to what they were
    ASSERT  no delete that nobody approved, no endless rewrites; then every key and status is right
    """
    operator, backup = await PREPARED[case.lacks](env)
    if not case.operator_up:
        await stopped(operator)
    await env.mark("wrong")
    env.step(
        "action", f"restore the backup, which lacks {case.lacks}; the operator {'up' if case.operator_up else 'down'}"
    )
    restored = EtcdRestored(env.foundation.kube, env.foundation.admin, backup)
    await env.strike(restored)
    with still_judged():
        if case.operator_up:
            await operator.wait_converged(CONVERGE_S)
        else:
            operator = await started(env)
    if case.lacks in HELD:
        await held_for_a_while(env, operator)
    else:
        with still_judged():
            await wait_status_true(env, SETTLE_S)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("held")

    env.step("action", "bring the objects to what they were")
    await env.mend(restored)
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "nothing was taken away, nothing was fought over, and all of it is true")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            *WHAT_HOLDS[case.lacks],
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
        )
    )


HELD = frozenset[Lacks]({"deployments", "everything"})
EDITED = SMALL.deployment_names[0]
NEVER_DELETED = fleet_kept("wrong", "settled")
WHAT_HOLDS: dict[Lacks, tuple[Check, ...]] = {
    "deployments": (brake_told("wrong", "held", "keys would go"), no_writes("wrong", "held"), NEVER_DELETED),
    "devices": (no_writes("wrong", "held"), NEVER_DELETED),
    "everything": (brake_told("wrong", "held", "keys are stored"), no_writes("wrong", "held"), NEVER_DELETED),
    "edit": (
        exactly_one_write_each("wrong", "held", EDITED, SMALL.selected(0)),
        exactly_one_write_each("held", "settled", EDITED, SMALL.selected(0)),
    ),
    # Here the old store asks for something, and gets it; what is live is left alone.
    "delete": (fleet_kept("wrong", "held"),),
}


async def back_up(env: Environment) -> EtcdBackup:
    return await EtcdBackup.take(env.foundation.kube, env.foundation.admin, env.namespace)


async def prepare_deployments(env: Environment) -> tuple[OperatorProcess, EtcdBackup]:
    operator, _ = await start_settled(env, replace(MANY, deployments=1))
    backup = await back_up(env)
    bodies = [deployment_body(name, i) for i, name in enumerate(MANY.deployment_names) if i]
    await env.foundation.admin.create_many(DEPLOYMENT.plural, env.namespace, bodies)
    await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, backup


async def prepare_devices(env: Environment) -> tuple[OperatorProcess, EtcdBackup]:
    """Devices that introduce themselves after the backup, with the labels that they are selected by."""
    operator, _ = await start_settled(env, replace(SMALL, devices=4))
    backup = await back_up(env)
    names = SMALL.device_names[4:]
    devices = await env.start_devices(names, labels={name: {"group": f"g{i % 4}"} for i, name in enumerate(names)})
    await devices.wait_ready()

    async def settled() -> bool | None:
        return True if len((await env.foundation.admin.list_objects(DEVICE.plural, env.namespace))[0]) == 8 else None

    await wait_for("the devices to be registered", settled, deadline_s=SETTLE_S, interval_s=0.1)
    await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, backup


async def prepare_edit(env: Environment) -> tuple[OperatorProcess, EtcdBackup]:
    operator, _ = await start_settled(env, SMALL)
    backup = await back_up(env)
    await edit_image(env, EDITED, "registry.example/app:2")
    await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, backup


async def prepare_delete(env: Environment) -> tuple[OperatorProcess, EtcdBackup]:
    operator, _ = await start_settled(env, SMALL)
    backup = await back_up(env)
    await env.foundation.admin.delete(DEPLOYMENT.plural, env.namespace, EDITED)
    await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, backup


async def prepare_everything(env: Environment) -> tuple[OperatorProcess, EtcdBackup]:
    backup = await back_up(env)
    operator, _ = await start_settled(env, SMALL)
    return operator, backup


PREPARED: dict[Lacks, Callable[[Environment], Awaitable[tuple[OperatorProcess, EtcdBackup]]]] = {
    "deployments": prepare_deployments,
    "devices": prepare_devices,
    "edit": prepare_edit,
    "delete": prepare_delete,
    "everything": prepare_everything,
}
