"""Family: what changes while no operator is there. Shape 5: Devices are deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.crds import DEVICE
from fleet.wire import Bucket, device_id, info_key
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.difference import held_by_brake, keys_purged, keys_written, others_kept
from harness.checks.going import deleted_objects_gone, device_rebuilt, devices_forgotten
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.objects import objects_kept
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.devices.scripted import Labels, ScriptedDevices
from harness.env import Environment
from harness.faults.kill import Kill
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    GROUPS,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    device_body,
    start_again,
    start_created,
)
from scenarios.worlds.looking import (
    approve_when_held,
    delete_entry,
    look_at_published,
    wait_gone,
    wait_right,
    without_finalizer,
)

# Two keys a device.
SMALL = Size(8, 8)
DOTTED = Size(8, 8, dotted=True)
MANY = Size(16, 8)
KEYS_EACH = 2

How = Literal["finalizer", "force, info gone", "force, info kept"]


@dataclass(frozen=True, slots=True)
class Deleted:
    """Which Devices go, and how.

    What devices say of themselves is the group that they are in, or another one, or nothing. `live` devices go on as if
    nothing had happened; the others are wiped. `blocked` ones were before. `made_again` is by an administrator, with
    the same labels; one that is `registered_again` was let go before, and then introduces itself.
    """

    gone: Sequence[int]
    how: How
    says: Literal["its group", "another group", "nothing"] = "its group"
    live: bool = False
    blocked: bool = False
    made_again: bool = False
    registered_again: bool = False
    held: bool = False
    size: Size = SMALL

    @property
    def names(self) -> list[str]:
        return [self.size.device_names[i] for i in self.gone]

    @property
    def comes_back(self) -> bool:
        return self.made_again or self.how == "force, info kept"

    @property
    def keys_gone(self) -> int:
        stays = self.comes_back and (self.made_again or self.says == "its group")
        return 0 if self.blocked or stays else KEYS_EACH * len(self.gone)

    @property
    def keys_new(self) -> int:
        """Who is registered from what it says is not blocked any more."""
        elsewhere = self.says == "another group" or (self.blocked and self.says == "its group")
        return KEYS_EACH * len(self.gone) if self.comes_back and elsewhere else 0

    def labels(self, i: int) -> Mapping[str, str]:
        """What the i-th device says of itself."""
        away = {"its group": 0, "another group": 1}
        return {} if self.says == "nothing" else {"group": f"g{(i + away[self.says]) % GROUPS}"}

    def registered_labels(self) -> list[str]:
        """Those of the first that goes."""
        return [f"{name}={value}" for name, value in self.labels(self.gone[0]).items()]


@cases(
    "device-deleted-while-down",
    {
        "finalizer-one": Deleted([0], "finalizer"),
        "finalizer-several-dotted": Deleted([0, 1, 6], "finalizer", size=DOTTED),
        "finalizer-live": Deleted([0], "finalizer", live=True),
        "finalizer-blocked": Deleted([0], "finalizer", blocked=True),
        "finalizer-registered-again": Deleted([0], "finalizer", registered_again=True),
        # By name, and so without the brake.
        "finalizer-all": Deleted(range(16), "finalizer", size=MANY),
        "info-gone-one": Deleted([0], "force, info gone"),
        "info-gone-several-dotted": Deleted([0, 1, 6], "force, info gone", size=DOTTED),
        "info-gone-22-keys-held": Deleted(range(11), "force, info gone", size=MANY, held=True),
        "info-gone-all-held": Deleted(range(8), "force, info gone", held=True),
        "info-kept-one": Deleted([0], "force, info kept", live=True),
        "info-kept-several-dotted": Deleted([0, 4], "force, info kept", live=True, size=DOTTED),
        "info-kept-another-group": Deleted([0], "force, info kept", says="another group", live=True),
        "info-kept-no-labels": Deleted([0], "force, info kept", says="nothing", live=True),
        "info-kept-blocked": Deleted([0], "force, info kept", live=True, blocked=True),
        "info-gone-made-again": Deleted([0], "force, info gone", live=True, made_again=True),
    },
)
async def test_device_deleted(env: Environment, case: Deleted) -> None:
    """A Device that is deleted takes its keys with it; one that vanished is made again if its device is still there.

    SETUP   devices with two keys each, all running
    ACTION  the operator is killed; Devices are deleted, with their finalizers pending or by force, and what they had
            said of themselves is deleted or kept; the operator is started again
    ASSERT  whoever was deleted has no keys and, if it was asked for, leaves nothing behind; whoever is still there is
            registered with what it says of itself, and its keys keep their revisions as far as they are wanted; nothing
            else is touched
    """
    env.step("setup", f"{case.size.devices} devices with {KEYS_EACH} keys each, all running")
    await create(env, case.size)
    labels: Labels = {name: case.labels(i) for i, name in enumerate(case.size.device_names)}
    operator, devices = await start_created(env, case.size, labels=labels)
    if case.blocked:
        for name in case.names:
            await env.foundation.admin.patch(DEVICE.plural, env.namespace, name, {"spec": {"blocked": True}})
        await wait_right(env)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    kill = Kill(operator, env.start_operator)
    await env.mark("down")
    env.step("action", f"the operator is killed; {len(case.gone)} Devices are deleted ({case.how})")
    await env.strike(kill)
    await delete(env, devices, case)
    operator = await start_again(env, kill)
    if case.held:
        await approve_when_held(env, operator)
    with still_judged():
        if case.how == "finalizer":
            for name in case.names:
                await wait_gone(env, DEVICE.plural, name)
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    if case.how == "finalizer":
        # Who lives beats on, whether or not anybody knows it.
        left_by_live = [Bucket.DEVICE_INFO, Bucket.DEVICE_STATE]
        for name in case.names:
            buckets = left_by_live if case.live else [*left_by_live, Bucket.DEVICE_HEARTBEAT]
            await look_at_published(env, name, buckets)
    await env.mark("settled")
    if case.registered_again:
        env.step("action", "the devices introduce themselves")
        await devices.rejoin(case.names)
        with still_judged():
            await wait_right(env)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
        await env.mark("rejoined")

    env.step("assert", f"{case.keys_gone} keys gone, {case.keys_new} written, the others as they were")
    require_pass(await env.judge(*checks_of(case)))


async def delete(env: Environment, devices: ScriptedDevices, case: Deleted) -> None:
    if not case.live:
        await devices.forget(case.names)
    for name in case.names:
        if case.how == "finalizer":
            await env.foundation.admin.delete(DEVICE.plural, env.namespace, name)
        else:
            await without_finalizer(env, DEVICE.plural, name)
        if case.how == "force, info gone":
            await delete_entry(env, Bucket.DEVICE_INFO, info_key(device_id(name)))
    if case.made_again:
        bodies = [device_body(name, i % GROUPS) for i, name in zip(case.gone, case.names, strict=True)]
        await env.foundation.admin.create_many(DEVICE.plural, env.namespace, bodies)


def checks_of(case: Deleted) -> list[Check]:
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_in_time("down", CONVERGE_S),
        objects_kept,
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.keys_gone:
        checks += [deletes_justified, keys_purged("down", "settled", case.keys_gone)]
    if case.keys_new:
        checks.append(keys_written("down", "settled", case.keys_new))
    if not case.keys_gone and not case.keys_new:
        checks.append(no_writes("down", "settled"))
    if len(case.gone) < case.size.devices:
        checks.append(others_kept("down", "settled"))
    if case.held:
        checks.append(held_by_brake("down", "approved", "settled", case.keys_gone))
    if case.how == "finalizer":
        checks += [deleted_objects_gone, devices_forgotten]
    if case.comes_back:
        checks.append(device_rebuilt(tuple(case.names), tuple(case.registered_labels())))
    if case.registered_again:
        checks.append(device_rebuilt(tuple(case.names), tuple(case.registered_labels())))
        checks.append(keys_written("settled", "rejoined", KEYS_EACH * len(case.gone)))
    return checks
