"""Carries out what the core decides, for all deployments of this device: a task for each slot, one look for all.

Deployments that were never heard of are left alone, whatever runs of them. When `run` is cancelled, every container
stays as it is.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleet.agent import ports, report
from fleet.agent.model import Container, ServiceSpec, Slot, spec_of
from fleet.agent.observer import Observer
from fleet.agent.runtime.protocol import ContainerRuntime
from fleet.agent.slot_worker import SlotWorker, Tools
from fleet.agent.steps import Wanted, right_container
from fleet.wire import DeploymentName, DesiredState, DeviceState


@dataclass(slots=True)
class _Deployment:
    """`desired` is None once it is deleted, `ticket` that of a look which began after that was heard."""

    name: DeploymentName
    desired: DesiredState | None
    last: DeviceState | None
    ticket: int
    wanted: Wanted = field(default_factory=dict)
    refused: str | None = None
    slots: dict[str, SlotWorker] = field(default_factory=dict)
    containers: list[Container] = field(default_factory=list)


class Workers:
    """`reported` gets each change of what is to be said, `gone` each deployment of which nothing is left.

    Both are called from the event loop and must not block.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        reported: Callable[[DeploymentName, DeviceState], None],
        gone: Callable[[DeploymentName], None],
        *,
        tick_s: float,
        last: Mapping[DeploymentName, DeviceState] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`last` are the reports of earlier lives of the agent."""
        self._reported = reported
        self._gone = gone
        self._last = dict(last or {})
        self._now = now
        self._deployments: dict[DeploymentName, _Deployment] = {}
        self._observer = Observer(runtime, tick_s, self._looked)
        self._tools = Tools(runtime, self._observer, ports.taken, time.monotonic, random.random)
        self._group: asyncio.TaskGroup | None = None
        self._was_away = False

    @property
    def busy(self) -> bool:
        """Some container is being made, started, stopped or removed."""
        return any(slot.deed is not None for each in self._deployments.values() for slot in each.slots.values())

    def moves(self, now_s: float) -> bool:
        """Whether the runtime is looked at as it must be; `now_s` is monotonic."""
        return self._observer.moves(now_s)

    def set(self, name: DeploymentName, desired: DesiredState | None) -> None:
        """Act on this from now on; None: stop and remove all of it, then say that it is gone."""
        each = self._deployments.get(name)
        if each is None:
            each = _Deployment(name, desired, self._last.pop(name, None), 0)
            self._deployments[name] = each
        specs = [] if desired is None else [spec_of(name, s, desired.score.lifecycle) for s in desired.score.services]
        before, each.wanted = each.wanted, {spec.service.name: spec for spec in specs}
        each.desired, each.refused, each.ticket = desired, None, self._observer.ask()
        for service in sorted(each.wanted.keys() | each.slots.keys()):
            self._order(each, service, before.get(service))
        self._report(each)

    def refuse(self, name: DeploymentName, reason: str) -> None:
        """A newer desired state cannot be understood: the one that is acted on stays, and that is said."""
        each = self._deployments.get(name)
        if each is not None:
            each.refused = reason
            self._report(each)

    def container(self, slot: Slot) -> Container | None:
        """The one that a person means by a service: the right one, else any, as last seen."""
        each = self._deployments.get(slot.deployment)
        spec = None if each is None else each.wanted.get(slot.service)
        own = [c for c in self._observer.containers if c.slot == slot]
        right = right_container(spec, own)
        return right or next((c for c in own if c.active), own[0] if own else None)

    async def run(self) -> None:
        """Until cancelled. Raises whatever is unexpected."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for each in self._deployments.values():
                for worker in each.slots.values():
                    group.create_task(self._live(each, worker))
            await self._observer.run()

    def _order(self, each: _Deployment, service: str, before: ServiceSpec | None) -> None:
        worker = each.slots.get(service)
        if worker is not None:
            worker.ordered_anew(before, each.wanted.get(service))
            return
        each.slots[service] = worker = SlotWorker(
            Slot(each.name, service),
            self._tools,
            wanted=lambda: each.wanted,
            containers=lambda: each.containers,
            changed=lambda: self._report(each),
        )
        if self._group is not None:
            self._group.create_task(self._live(each, worker))

    async def _live(self, each: _Deployment, worker: SlotWorker) -> None:
        await worker.run()
        service = worker.slot.service
        del each.slots[service]
        if service in each.wanted:
            # It was wanted again in the very moment of its end.
            self._order(each, service, None)
        self._is_gone(each)

    def _looked(self) -> None:
        away = self._observer.away is not None
        found: dict[DeploymentName, list[Container]] = defaultdict(list)
        for container in sorted(self._observer.containers, key=lambda c: c.id):
            found[container.slot.deployment].append(container)
        for each in list(self._deployments.values()):
            changed = each.containers != found[each.name]
            each.containers = found[each.name]
            for service in sorted({c.slot.service for c in each.containers} - each.slots.keys()):
                self._order(each, service, None)
            for worker in each.slots.values():
                if changed or worker.waits_for_look:
                    worker.news()
            if away or self._was_away:
                self._report(each)
            self._is_gone(each)
        self._was_away = away

    def _is_gone(self, each: _Deployment) -> None:
        empty = self._observer.seen >= each.ticket and not each.slots and not each.containers
        if each.desired is None and empty and self._deployments.pop(each.name, None) is not None:
            self._gone(each.name)

    def _report(self, each: _Deployment) -> None:
        """Say what changed, once every slot has decided on what was seen last."""
        if each.desired is None:
            return
        if self._observer.away is not None:
            summary = report.away(each.last, each.desired.owner, self._observer.away)
        elif self._observer.seen == 0 or any(worker.undecided for worker in each.slots.values()):
            return
        else:
            services = [
                report.service_state(each.slots[name].scene, spec, each.slots[name].health)
                for name, spec in each.wanted.items()
            ]
            summary = report.summed_up(services, each.last)
            if each.refused is not None:
                summary = report.refused(summary, each.refused)
        news = report.next_report(each.last, each.desired.owner, summary, self._now())
        if news is not None:
            each.last = news
            self._reported(each.name, news)
