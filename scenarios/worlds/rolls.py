"""A device whose agent rolls one deployment forward again and again, while another one is left alone.

generation   n                   n + 1
main         image and env A --> image and env B
side-n       runs            --> dropped
side-(n+1)                       new
still        runs                runs, untouched
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self

from fleet.wire import Bucket, DeviceState, EnvVar, Lifecycle, Phase, Service, decode_device_state
from harness.checks.container_lives import Slot, slot_of
from harness.checks.killed_rolls import AIM, BEFORE, CLEAN, CLEAN_SETTLED, SETTLED
from harness.devices.orders import Orders
from harness.env import Environment
from harness.env.device import Device
from harness.faults.step_kill import KillBeforeStep, Life
from harness.history import ContainerEvent, KvEntry, Record
from harness.services.payload_images import image
from harness.services.process import ManagedProcess
from harness.services.step_tracer import StepTracer
from harness.wait import wait_for
from scenarios.cases import still_judged

DEVICE: Final = "edge-1"
ROLLED, STILL = "web", "still"
STILL_SLOT: Final = f"{STILL}/main"
SETTLE_S: Final = 10.0
TRIES: Final = 3
_LIFECYCLE = Lifecycle("SIGTERM", 2)
_LOOK_EVERY_S: Final = 0.01
SETTINGS: Final = {"FLEET_TICK_S": "10", "FLEET_HEARTBEAT_S": "30"}
"""A device's own rates: what an agent does by itself now and then is no part of a roll."""


class Rolls:
    """`put_next` is the roll; `settled` says whether all of it is done, by podman's events and what is stored."""

    def __init__(self, env: Environment, orders: Orders, device: Device, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self.env = env
        self.device = device
        self.generation = 0
        self._orders = orders
        # Containers that are there, by id, and whether they run.
        self._there: dict[str, tuple[Slot, bool]] = {}
        self._reports: dict[str, DeviceState] = {}
        self._beaten = False
        env.recorder.listeners.add(self._look)

    @classmethod
    async def start(cls, env: Environment, settings: Mapping[str, str] = SETTINGS) -> Self:
        """A device on which both deployments run, and an agent that has nothing left to do."""
        orders = await env.orders()
        await orders.make_buckets()
        rolls = cls(env, orders, await env.start_device(DEVICE), settings)
        await rolls.start_agent()
        await orders.put(DEVICE, STILL, [_service("main", 1)], _LIFECYCLE)
        await rolls.put_next()
        await rolls.wait_settled()
        return rolls

    async def start_agent(self) -> ManagedProcess:
        self._beaten = False
        return await self.device.start_agent(self._settings)

    async def put_next(self) -> None:
        self.generation += 1
        services = [_service(name, self.generation) for name in ("main", f"side-{self.generation}")]
        await self._orders.put(DEVICE, ROLLED, services, _LIFECYCLE)

    @property
    def running(self) -> dict[tuple[str, str], str]:
        """The containers that run, by deployment and service."""
        return {(slot.deployment, slot.service): id_ for id_, (slot, runs) in self._there.items() if runs}

    def only_wanted(self) -> bool:
        """What is wanted runs, and nothing else is there."""
        wanted = {(ROLLED, "main"), (ROLLED, f"side-{self.generation}"), (STILL, "main")}
        return self.running.keys() == wanted and len(self._there) == len(wanted)

    def settled(self) -> bool:
        """And that is what was reported."""
        web = self._reports.get(ROLLED)
        return (
            self.only_wanted()
            and web is not None
            and (web.phase, web.owner.generation) == (Phase.RUNNING, self.generation)
            and web.container_ids == {service: id_ for (of, service), id_ in self.running.items() if of == ROLLED}
        )

    async def wait_running(self, deployment: str, service: str) -> None:
        """Raises WaitTimeout."""
        await self._wait(f"{deployment}/{service} to run", lambda: (deployment, service) in self.running)

    async def wait_only_wanted(self) -> None:
        """Raises WaitTimeout."""
        await self._wait(f"generation {self.generation} to run, and nothing else", self.only_wanted)

    async def wait_settled(self) -> None:
        """Raises WaitTimeout."""
        await self._wait(f"generation {self.generation} to run and to be reported, and nothing else", self.settled)

    async def rest(self) -> None:
        """Until that is so, and the agent that was started last has beaten. Raises WaitTimeout."""
        await self.wait_settled()
        await self._wait("an agent to beat", lambda: self._beaten)

    async def wait_next_beat(self) -> None:
        """Of any agent. Raises WaitTimeout."""
        self._beaten = False
        await self._wait("an agent to beat", lambda: self._beaten)

    async def follow(self, *, kill_before: str = "", agent: ManagedProcess | None = None) -> StepTracer:
        """Once the agent has nothing left to do. None: the one that was started last."""
        await self.rest()
        tracer = await self.follow_now(kill_before=kill_before, agent=agent)
        try:
            await tracer.wait_quiet()
        except BaseException:
            await tracer.close()
            raise
        return tracer

    async def follow_now(self, *, kill_before: str = "", agent: ManagedProcess | None = None) -> StepTracer:
        root, warden = self.device.host.root, self.env.foundation.warden
        return await StepTracer.attach(agent or self.device.agent, root, warden, kill_before=kill_before)

    async def _wait(self, what: str, reached: Callable[[], bool]) -> None:
        await wait_for(what, lambda: True if reached() else None, deadline_s=SETTLE_S, interval_s=_LOOK_EVERY_S)

    def _look(self, record: Record) -> None:
        match record:
            case ContainerEvent(event="create" | "start" | "died") if (slot := slot_of(record)) is not None:
                self._there[record.id] = (slot, record.event == "start")
            case ContainerEvent(event="remove"):
                self._there.pop(record.id, None)
            case KvEntry(bucket=Bucket.DEVICE_STATE, operation="put"):
                self._reports[record.key.rpartition(".")[2]] = decode_device_state(record.value.encode())
            case KvEntry(bucket=Bucket.DEVICE_HEARTBEAT):
                self._beaten = True


def _service(name: str, generation: int) -> Service:
    """What its image and its environment are changes with each generation."""
    return Service(
        name,
        image("v1" if generation % 2 else "v2"),
        ("/bin/payload", "sleep"),
        env=(EnvVar("GENERATION", str(generation)),),
    )


async def clean_roll(rolls: Rolls, agent: ManagedProcess | None = None) -> list[str]:
    """A roll that nobody disturbs: its steps, by the agent that was started last unless another is named."""
    tracer = await rolls.follow(agent=agent)
    try:
        await rolls.env.mark(CLEAN)
        await tracer.begin()
        await rolls.put_next()
        await rolls.wait_settled()
        await tracer.wait_quiet()
        steps = tracer.steps()
    finally:
        await tracer.close()
    await rolls.env.mark(CLEAN_SETTLED, "\n".join(steps))
    return steps


async def fresh_clean_roll(rolls: Rolls) -> list[str]:
    """As above, by an agent that has done nothing else yet."""
    await rolls.device.agent.kill()
    await rolls.start_agent()
    return await clean_roll(rolls)


async def killed_roll(
    rolls: Rolls, step: str, *, agent: ManagedProcess | None = None, restart: Life | None = None
) -> KillBeforeStep:
    """A roll whose agent is killed before that step; on return the next agent has done the rest, or had its time."""
    tracer = await rolls.follow(kill_before=step, agent=agent)
    kill = KillBeforeStep(
        agent or rolls.device.agent,
        tracer,
        act=rolls.put_next,
        over=rolls.settled,
        restart=restart or rolls.start_agent,
    )
    async with aimed(rolls, f"{BEFORE}{step}"):
        await rolls.env.strike(kill)
        await rolls.env.mend(kill)
    # There may be hundreds: none waits for the end of the environment.
    await kill.close()
    return kill


async def killed_once(rolls: Rolls, step: str) -> bool:
    """As many rolls as it takes until one comes to that step, within bounds: whether one did.

    Reports that come in quick succession are told as one, so not each roll has each step.
    """
    for _ in range(TRIES):
        if (await killed_roll(rolls, step)).reached:
            return True
        if not rolls.settled():
            break
    return False


@asynccontextmanager
async def aimed(rolls: Rolls, aim: str) -> AsyncIterator[None]:
    """A roll that is disturbed within, between its two marks. What is not reached in time is left to the checks."""
    await rolls.env.mark(AIM, aim)
    yield
    with still_judged():
        await rolls.wait_settled()
    await rolls.env.mark(SETTLED)
