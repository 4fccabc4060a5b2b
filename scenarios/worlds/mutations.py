"""Administrators at work: a seed expands to a complete list of edits before anything starts, and that list is applied.

    seed -> plan_mutations -> [Mutation] -> Mutator -> API server

Edits of one object are made in their order; those of different objects do not wait for each other.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fleet.crds import DEPLOYMENT, DEVICE
from harness.env import Environment
from harness.services.kube_client import KubeApiError
from harness.wait import ticks, wait_for
from scenarios.worlds.fleet import GROUPS, Size, deployment_body, device_body, edit_image

Kind = Literal[
    "edit image",
    "edit selector",
    "edit labels",
    "block",
    "unblock",
    "create deployment",
    "delete deployment",
    "create device",
    "delete device",
]

# How often each is drawn, of 16.
_WEIGHTS: dict[Kind, int] = {
    "edit image": 4,
    "edit selector": 3,
    "edit labels": 4,
    "block": 2,
    "delete deployment": 1,
    "delete device": 2,
}
_BACK_AFTER_S = (0.1, 1.5)
_BACK_SHARE = 0.5
_AGAIN_AFTER_S = (1.0, 3.0)
# Long enough for the operator to let an object go that it holds by a finalizer.
_GONE_WITHIN_S = 20.0
_CONFLICT = 409
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Mutation:
    """One edit, `at_s` after the beginning. `group` or `version` is what it sets, if it is of that kind."""

    at_s: float
    kind: Kind
    name: str
    group: int = 0
    version: int = 0


def plan_mutations(seed: int, seconds: float, rate_per_s: float, size: Size) -> list[Mutation]:
    """Edits of a world that `create` made, in order of time; whatever goes comes back before the end.

    Half of the edits that make a device or a deployment unselected are undone after a moment: a view from in between
    is a wrong one soon after.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
    busy_until_s: dict[str, float] = defaultdict(float)
    groups = {name: i % GROUPS for i, name in enumerate([*size.device_names])}
    groups |= {name: i % GROUPS for i, name in enumerate(size.deployment_names)}
    devices, deployments = frozenset(size.device_names), sorted(size.deployment_names)
    planned: list[Mutation] = []
    for number in range(int(seconds * rate_per_s)):
        at_s = number / rate_per_s
        kind = draw.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
        of_device = kind in {"edit labels", "block", "delete device"}
        free = [name for name in (sorted(devices) if of_device else deployments) if busy_until_s[name] <= at_s]
        if not free:
            continue
        name = draw.choice(free)
        steps = _steps(draw, Mutation(at_s, kind, name, groups[name], number + 2))
        planned += steps
        busy_until_s[name] = steps[-1].at_s + 0.05
        groups[name] = steps[-1].group
    return sorted(planned, key=lambda mutation: mutation.at_s)


def _steps(draw: random.Random, first: Mutation) -> list[Mutation]:
    """An edit, and what undoes it if something does. `first` has the group that the object is in."""
    back_s, again_s = first.at_s + draw.uniform(*_BACK_AFTER_S), first.at_s + draw.uniform(*_AGAIN_AFTER_S)
    match first.kind:
        case "edit selector" | "edit labels":
            out = replace(first, group=(first.group + draw.randrange(1, GROUPS)) % GROUPS)
            return [out, replace(first, at_s=back_s)] if draw.random() < _BACK_SHARE else [out]
        case "block":
            return [first, replace(first, at_s=back_s, kind="unblock")]
        case "delete deployment":
            return [first, replace(first, at_s=again_s, kind="create deployment")]
        case "delete device":
            return [first, replace(first, at_s=again_s, kind="create device")]
        case _:
            return [first]


class Mutator:
    """Applies a plan. `run` returns when all of it is done."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, plan: Sequence[Mutation]) -> None:
        """Raises ServiceError for what the API server refused."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        waiting = list(reversed(plan))
        try:
            async with asyncio.TaskGroup() as group:
                async for _ in ticks(0.01):
                    while waiting and waiting[-1].at_s <= loop.time() - began_s:
                        group.create_task(self._in_turn(waiting.pop()))
                    if not waiting:
                        break
        except ExceptionGroup as e:
            raise e.exceptions[0] from e

    async def _in_turn(self, mutation: Mutation) -> None:
        async with self._turns[mutation.name]:
            try:
                await self._apply(mutation)
            except KubeApiError as e:
                # The plan knows what is there. That something vanished is the product's doing, and found by its check.
                if e.status != _NOT_FOUND:
                    raise

    async def _apply(self, mutation: Mutation) -> None:
        admin, namespace, name = self._env.foundation.admin, self._env.namespace, mutation.name
        labels = {"group": f"g{mutation.group}"}
        patch: Mapping[str, object]
        match mutation.kind:
            case "edit image":
                await edit_image(self._env, name, f"registry.example/app:{mutation.version}")
            case "edit selector":
                patch = {"spec": {"targetSelector": {"matchLabels": labels}}}
                await admin.patch(DEPLOYMENT.plural, namespace, name, patch)
            case "edit labels":
                await admin.patch(DEVICE.plural, namespace, name, {"spec": {"labels": labels}})
            case "block" | "unblock":
                patch = {"spec": {"blocked": mutation.kind == "block"}}
                await admin.patch(DEVICE.plural, namespace, name, patch)
            case "delete deployment":
                await admin.delete(DEPLOYMENT.plural, namespace, name)
            case "delete device":
                await admin.delete(DEVICE.plural, namespace, name)
            case "create deployment":
                await self._create(DEPLOYMENT.plural, deployment_body(name, mutation.group))
            case "create device":
                await self._create(DEVICE.plural, device_body(name, mutation.group))

    async def _create(self, resource: str, body: dict[str, object]) -> None:
        """Once the one of that name which was deleted is gone."""

        async def created() -> bool | None:
            try:
                await self._env.foundation.admin.create(resource, self._env.namespace, body)
            except KubeApiError as e:
                if e.status == _CONFLICT:
                    return None
                raise
            return True

        await wait_for(f"a deleted object of {resource} to be gone", created, deadline_s=_GONE_WITHIN_S, interval_s=0.1)


async def approve_sweeps(env: Environment) -> None:
    """An administrator who says yes to every sweep that waits. Ends by cancellation."""
    path = f"/api/v1/namespaces/{env.namespace}/configmaps/fleet-sweep"
    async for _ in ticks(0.1):
        try:
            found = await env.foundation.admin.request("GET", path)
        except KubeApiError:
            # Nothing was ever asked.
            continue
        data = found.get("data") if isinstance(found, dict) else None
        if not isinstance(data, dict) or not data.get("id") or data.get("approved") == data["id"]:
            continue
        patch = {"data": {"approved": data["id"]}}
        await env.foundation.admin.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
