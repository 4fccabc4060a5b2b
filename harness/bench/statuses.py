"""Every status that a namespace's Deployments took since a list, in order, on a watch of its own."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from fleet.crds import DEPLOYMENT
from fleet.wire import DeploymentName, deployment_name
from harness.bench.figures import known_counts
from harness.bench.stage import World
from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube_answers import mapping
from harness.wait import end_tasks


class StatusHistory:
    """`initial` as listed, then `versions` as they came: how many devices succeeded, by Deployment."""

    def __init__(self, initial: Mapping[DeploymentName, int]) -> None:
        self.initial = dict(initial)
        self.versions: defaultdict[DeploymentName, list[int]] = defaultdict(list)

    @property
    def shown(self) -> dict[DeploymentName, int]:
        """What each status says now."""
        return self.initial | {name: counts[-1] for name, counts in self.versions.items()}

    def add(self, item: Json) -> None:
        self.versions[_name(item)].append(_succeeded(item))


@asynccontextmanager
async def statuses(here: World) -> AsyncIterator[StatusHistory]:
    """Follow them. Raises ServiceError if the watch breaks."""
    items, version = await here.stage.admin.list_objects(DEPLOYMENT.plural, here.namespace)
    history = StatusHistory({_name(item): _succeeded(item) for item in items})
    task = asyncio.create_task(_follow(here, version, history), name=f"statuses of {here.namespace}")
    try:
        yield history
        if task.done():
            raise ServiceError(f"{here.namespace}: the watch of statuses ended") from task.exception()
    finally:
        await end_tasks([task])


async def _follow(here: World, version: str, history: StatusHistory) -> None:
    async with aclosing(here.stage.admin.watch(DEPLOYMENT.plural, here.namespace, version)) as events:
        async for event, item in events:
            if event == "MODIFIED":
                history.add(item)


def _name(item: Json) -> DeploymentName:
    return deployment_name(str(mapping(item["metadata"])["name"]))


def _succeeded(item: Json) -> int:
    status = item.get("status")
    return known_counts(status if isinstance(status, dict) else {})["succeeded"]
