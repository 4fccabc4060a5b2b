"""One slot's loop: look, decide the next step, carry it out, look again."""

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from fleet.agent.health import Health
from fleet.agent.memory import Memory
from fleet.agent.model import Container, ContainerState, Failure, HostPort, Reason, ServiceSpec, Slot
from fleet.agent.observer import Observer
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.runtime.protocol import ContainerRuntime, RuntimeAway, RuntimeTrouble
from fleet.agent.steps import Create, Deed, Prepare, Remove, Rest, Start, Stop, Wait, Wanted, right_container
from fleet.backoff import Backoff
from fleet.logs import get_logger
from fleet.wire import HealthCheck

_HEALTH_OUTPUT_BYTES_MAX = 1024
_FIRST_CHECK_AFTER_S = 1.0
_Checked = tuple[str, HealthCheck, float | None]
"""What a series of checks is about: one run of one container, and the check itself."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every slot works with. `clock` is monotonic; `dice` gives 0 to 1."""

    runtime: ContainerRuntime
    observer: Observer
    taken: Callable[[Iterable[HostPort]], list[HostPort]]
    clock: Callable[[], float]
    dice: Callable[[], float]


class SlotWorker:
    """`wanted` and `containers` hand over what is known of the whole deployment; `changed` is told after each decision.

    It ends when nothing is wanted here and nothing is left.
    """

    def __init__(
        self,
        slot: Slot,
        tools: Tools,
        *,
        wanted: Callable[[], Wanted],
        containers: Callable[[], list[Container]],
        changed: Callable[[], None],
    ) -> None:
        self.slot = slot
        self.memory = Memory()
        self.health = Health()
        self.deed: Deed | None = None
        """What is under way."""
        self._tools = tools
        self._wanted = wanted
        self._containers = containers
        self._changed = changed
        self.waits_for_look = False
        """For any look: it is told of the next one even if that shows nothing new."""
        self._news = asyncio.Event()
        self._other_spec = asyncio.Event()
        self._ticket = tools.observer.ask()
        self._backoff = Backoff()
        self._checked: _Checked | None = None
        self._checking: asyncio.Task[None] | None = None
        self._checks = asyncio.TaskGroup()
        self._log = get_logger("slot").bind(deployment=slot.deployment, service=slot.service)

    @property
    def scene(self) -> Scene:
        return Scene(self.slot, self._wanted(), self._containers(), self.memory, self._tools.clock())

    @property
    def undecided(self) -> bool:
        """It has not yet decided on what was seen last."""
        return self._news.is_set() and self.deed is None

    def news(self) -> None:
        """There was a look."""
        self._news.set()

    def ordered_anew(self, before: ServiceSpec | None, now: ServiceSpec | None) -> None:
        """The deployment's desired state changed, be it here or in another slot."""
        self.memory = self.memory.ordered_anew()
        if before is None or now is None or before.digest != now.digest:
            self._other_spec.set()
        self._look()
        self._news.set()

    async def run(self) -> None:
        async with self._checks:
            while not await self._go_on():
                pass
            self._check_no_more()

    async def _go_on(self) -> bool:
        """Decide once and do it; whether this slot is done with for good."""
        self._news.clear()
        while self._tools.observer.seen < self._ticket:
            self.waits_for_look = True
            await self._news.wait()
            self._news.clear()
        self.waits_for_look = False
        self._other_spec.clear()
        scene = self.scene
        spec, own = scene.spec, scene.own
        self.memory = self.memory.seen(spec, own, scene.now_s, self._tools.dice())
        scene = self.scene
        self._mind_health(spec, own)
        step = next_step(scene)
        self._changed()
        match step:
            case Rest():
                if spec is None and not own:
                    return True
                await self._news.wait()
            case Wait(until_s):
                await self._idle(until_s)
            case _:
                await self._carry_out(step)
        return False

    async def _idle(self, until_s: float) -> None:
        """Until there are news; once the time has come, what was seen before it is too old to act on."""
        left_s = None if until_s == math.inf else until_s - self._tools.clock()
        try:
            async with asyncio.timeout(left_s):
                await self._news.wait()
        except TimeoutError:
            self._look()

    async def _carry_out(self, deed: Deed) -> None:
        self.deed = deed
        began_s = self._tools.clock()
        try:
            if await self._do(deed):
                self.memory = self.memory.done(deed, self._tools.clock())
            self._backoff = Backoff()
        except RuntimeAway as e:
            self._log.warning("runtime_away", deed=type(deed).__name__, reason=str(e))
            await self._pause(self._backoff.delay_s(lasted_s=self._tools.clock() - began_s))
        except RuntimeTrouble as e:
            self._log.warning("deed_failed", deed=type(deed).__name__, error=e.reason, reason=str(e))
            failure, now_s = Failure(e.reason, str(e)), self._tools.clock()
            self.memory = self.memory.failed(deed, failure, now_s, self._tools.dice())
        finally:
            self.deed = None
        self._look()

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._other_spec.wait()

    async def _do(self, deed: Deed) -> bool:
        """False if it was broken off. Raises RuntimeTrouble."""
        runtime = self._tools.runtime
        match deed:
            case Prepare(spec):
                return await self._prepare(spec)
            case Create(spec):
                created = await runtime.create(spec)
                self._log.info("created", container=created, image=spec.service.image)
            case Stop(container, probe):
                if taken := self._tools.taken(probe):
                    words = ", ".join(f"{number}/{protocol}" for number, protocol in taken)
                    raise RuntimeTrouble(Reason.PORT_TAKEN, f"in use on this device: {words}; the old one runs on")
                self._log.info("stopping", container=container.id)
                await runtime.stop(container.id)
            case Start(container):
                await runtime.start(container.id)
                self._log.info("started", container=container.id)
            case Remove(container):
                await runtime.remove(container.id)
                self._log.info("removed", container=container.id)
        return True

    async def _prepare(self, spec: ServiceSpec) -> bool:
        """A pull may take long: it is given up for another spec."""
        pull = asyncio.ensure_future(self._tools.runtime.prepare(spec))
        other = asyncio.ensure_future(self._other_spec.wait())
        try:
            await asyncio.wait({pull, other}, return_when=asyncio.FIRST_COMPLETED)
            if not pull.done():
                return False
            pull.result()
            return True
        finally:
            for task in (pull, other):
                task.cancel()
            await asyncio.gather(pull, other, return_exceptions=True)

    def _look(self) -> None:
        self._ticket = self._tools.observer.ask()

    def _mind_health(self, spec: ServiceSpec | None, own: list[Container]) -> None:
        """Checks go on as long as the same run of the same container is judged by the same check."""
        right = right_container(spec, own)
        checked: _Checked | None = None
        if spec is not None and right is not None and right.state is ContainerState.RUNNING:
            check = spec.service.health_check
            checked = None if check is None else (right.id, check, self.memory.raising.running_since_s)
        if checked != self._checked:
            self._check_no_more()
            self._checked, self.health = checked, Health()
            if checked is not None:
                self._checking = self._checks.create_task(self._check_again_and_again(checked[0], checked[1]))

    def _check_no_more(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    async def _check_again_and_again(self, container_id: str, check: HealthCheck) -> None:
        await asyncio.sleep(min(_FIRST_CHECK_AFTER_S, check.interval_secs))
        while True:
            with suppress(RuntimeAway):
                words = await self._check(container_id, check)
                before = self.health
                self.health = before.passed() if words is None else before.failed(words, retries=check.retries)
                if self.health != before:
                    self._changed()
            await asyncio.sleep(check.interval_secs)

    async def _check(self, container_id: str, check: HealthCheck) -> str | None:
        """What failed, None if it passed. Raises RuntimeAway."""
        timeout_s = float(check.timeout_secs)
        try:
            result = await self._tools.runtime.execute(
                container_id, check.command, timeout_s=timeout_s, bytes_max=_HEALTH_OUTPUT_BYTES_MAX
            )
        except TimeoutError:
            return f"the health check took longer than {check.timeout_secs} s"
        except RuntimeAway:
            raise
        except RuntimeTrouble as e:
            return f"the health check could not run: {e}"
        if result.exit_code == 0:
            return None
        said = result.output.decode(errors="replace").strip()
        return f"the health check ended with exit code {result.exit_code}{said and ': '}{said}"
