"""Family: what changes while no operator is there. Shape 6: who is selected by whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet.crds import DEPLOYMENT, DEVICE
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.difference import held_by_brake, keys_purged, keys_written, others_kept
from harness.checks.going import reports_withdrawn
from harness.checks.judge import Check
from harness.checks.keys import deletes_justified
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.env import Environment
from harness.faults.kill import Kill
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    GROUPS,
    QUIET_S,
    SETTLE_S,
    Size,
    deployment_body,
    device_body,
    edit_image,
    start_again,
    start_created,
)
from scenarios.worlds.looking import approve_when_held, wait_right

Selector = Mapping[str, str]

# Of 8 devices these select 4, 4, 4 and 2: a device is selected by two or three of them.
SELECTORS: tuple[Selector, ...] = ({"half": "h0"}, {"half": "h1"}, {"side": "s0"}, {"group": "g3"})
SMALL = Size(8, len(SELECTORS))
DOTTED = Size(8, len(SELECTORS), dotted=True)
MANY = Size(48, len(SELECTORS))


def labels_of(i: int, size: Size) -> Selector:
    """`half` is even or odd, `side` the first or the second half of the list, `group` every fourth."""
    return {"group": f"g{i % GROUPS}", "half": f"h{i % 2}", "side": f"s{2 * i // size.devices}"}


@dataclass(frozen=True, slots=True)
class Change:
    """What administrators do while no operator is there, and what it costs.

    `selectors` and `images` are by Deployment, the others by device. Of what changes `back` is undone at once. `gone`
    keys nobody wants afterwards, `new` ones are to be written; `held` if the brake has to hold the sweep.
    """

    gone: int = 0
    new: int = 0
    selectors: Mapping[int, Selector] = field(default_factory=dict)
    labels: Mapping[int, Selector] = field(default_factory=dict)
    images: Sequence[int] = ()
    blocked: Sequence[int] = ()
    # These had been blocked before.
    unblocked: Sequence[int] = ()
    back: bool = False
    held: bool = False
    size: Size = SMALL


SHRINK = {0: {"half": "h0", "side": "s0"}}
GROW = {3: {"half": "h1"}}


@cases(
    "selector-change-while-down",
    {
        "shrink": Change(gone=2, selectors=SHRINK),
        "shrink-dotted": Change(gone=2, selectors=SHRINK, size=DOTTED),
        "grow": Change(new=2, selectors=GROW),
        "shrink-and-grow": Change(gone=2, new=2, selectors={**SHRINK, **GROW}),
        "overlap": Change(gone=2, new=2, selectors={0: {"side": "s0"}}),
        "disjoint": Change(gone=4, new=4, selectors={0: {"half": "h1"}}),
        "disjoint-24-keys-held": Change(gone=24, new=24, selectors={0: {"half": "h1"}}, held=True, size=MANY),
        "nobody-any-more": Change(gone=4, selectors={0: {"half": "none"}}),
        "there-and-back": Change(selectors={0: {"half": "h1"}, 3: {"half": "h0"}}, back=True),
        # The keys that stay are written once, those that go are not.
        "shrink-and-image": Change(gone=2, new=2, selectors=SHRINK, images=[0]),
        "device-labels": Change(gone=1, new=1, labels={0: {"half": "h1"}}),
        "blocked": Change(gone=4, blocked=[0, 1]),
        # A blocked device says so itself: the brake is not asked, however many keys go.
        "blocked-36-keys": Change(gone=36, blocked=range(16), size=MANY),
        "unblocked": Change(new=2, unblocked=[0]),
        # Gone: one of the shrink, two of the block. New: two of the unblock, four of the image, one of them by labels.
        "all-at-once": Change(
            gone=3,
            new=6,
            selectors={**SHRINK, **GROW},
            labels={6: {"side": "s0"}},
            images=[2],
            blocked=[1],
            unblocked=[5],
        ),
    },
)
async def test_selector_change(env: Environment, case: Change) -> None:
    """Who is selected now gets its key, who is not any more loses it, and nobody else hears of it.

    SETUP   devices with several deployments each, all running
    ACTION  the operator is killed; selectors, labels, blocks and images change; the operator is started again; if it
            holds the sweep, that is approved after a while
    ASSERT  exactly the keys that the change concerns are written or deleted, each once; all others keep their revisions
    """
    size = case.size
    env.step("setup", f"{size.devices} devices, {size.deployments} deployments that overlap, all running")
    await create_overlapping(env, size)
    operator, _ = await start_created(env, size)
    if case.unblocked:
        await block(env, size, case.unblocked, blocked=True)
        await wait_right(env)
        await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    kill = Kill(operator, env.start_operator)
    await env.mark("down")
    env.step("action", f"the operator is killed; {case.gone} keys are wanted no more, {case.new} are to be written")
    await env.strike(kill)
    await apply(env, case)
    operator = await start_again(env, kill)
    if case.held:
        await approve_when_held(env, operator)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "exactly those, each once, and all others as they were")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_in_time("down", CONVERGE_S),
        others_kept("down", "settled"),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.gone:
        checks += [deletes_justified, keys_purged("down", "settled", case.gone), reports_withdrawn("down")]
    if case.new:
        checks.append(keys_written("down", "settled", case.new))
    if case.held:
        checks.append(held_by_brake("down", "approved", "settled", case.gone))
    if case.back:
        checks.append(no_writes("down", "settled"))
    require_pass(await env.judge(*checks))


async def create_overlapping(env: Environment, size: Size) -> None:
    admin, namespace = env.foundation.admin, env.namespace
    devices = [
        {**device_body(name, i % GROUPS), "spec": {"labels": labels_of(i, size)}}
        for i, name in enumerate(size.device_names)
    ]
    await admin.create_many(DEVICE.plural, namespace, devices)
    await admin.create_many(DEPLOYMENT.plural, namespace, [deployment_body(name, 0) for name in size.deployment_names])
    for n, selector in enumerate(SELECTORS):
        await select(env, size, n, {"group": "g0"}, selector)


async def apply(env: Environment, case: Change) -> None:
    for n in case.images:
        await edit_image(env, case.size.deployment_names[n], "registry.example/app:2")
    for n, selector in case.selectors.items():
        await select(env, case.size, n, SELECTORS[n], selector)
        if case.back:
            await select(env, case.size, n, selector, SELECTORS[n])
    for i, labels in case.labels.items():
        patch = {"spec": {"labels": labels}}
        await env.foundation.admin.patch(DEVICE.plural, env.namespace, case.size.device_names[i], patch)
    await block(env, case.size, case.blocked, blocked=True)
    await block(env, case.size, case.unblocked, blocked=False)


async def select(env: Environment, size: Size, n: int, before: Selector, after: Selector) -> None:
    """The n-th Deployment is to select others. A merge patch removes only what it names."""
    labels = {**dict.fromkeys(before), **after}
    patch = {"spec": {"targetSelector": {"matchLabels": labels}}}
    await env.foundation.admin.patch(DEPLOYMENT.plural, env.namespace, size.deployment_names[n], patch)


async def block(env: Environment, size: Size, devices: Sequence[int], *, blocked: bool) -> None:
    for i in devices:
        patch = {"spec": {"blocked": blocked}}
        await env.foundation.admin.patch(DEVICE.plural, env.namespace, size.device_names[i], patch)
