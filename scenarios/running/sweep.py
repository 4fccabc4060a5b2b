"""The sweep of a roll: an agent is killed before each of the system calls of a roll, one roll for each.

clean rolls -> their steps -> queue --> world 1: aim, roll, SIGKILL, next agent, settled; aim, roll, ...
                                   \\-> world 2: likewise
each world has its own device, broker and history, which is judged when nothing is left to aim at
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.artefacts import RunFolder
from harness.checks.containers import never_two_running, untouched
from harness.checks.judge import Check, Judgement
from harness.checks.killed_rolls import BEFORE, ends_as_clean, kills_reached, outcomes, started_once
from harness.checks.reporting import agent_worked, no_agent_exit
from harness.env import Environment, Foundation
from harness.env.product import Product
from harness.env.recording import recording
from harness.errors import HarnessError
from harness.history import VerdictOutcome, worst
from reports.results import CaseRecord, write_result
from scenarios.running.summary import summarise
from scenarios.worlds.rolls import STILL_SLOT, Rolls, fresh_clean_roll, killed_once

NAME: Final = "sweep-roll"
CLEAN_ROLLS: Final = 3
"""In each world: a step counts if every one of them makes it."""
WORLDS_MAX: Final = 8
"""Of one worker, one after the other: a world that does not settle is left."""
_FIRST, _LAST = "sweep", "swept"
_CHECKS: Final[tuple[Check, ...]] = (
    agent_worked,
    no_agent_exit,
    kills_reached,
    ends_as_clean,
    started_once,
    never_two_running,
    untouched(_FIRST, _LAST, (STILL_SLOT,)),
)

Choose = Callable[[Sequence[str]], Sequence[str]]
"""From the steps of a roll those that are to be swept, in their order."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Swept:
    """What came of it. `steps` are all that each clean roll made, `unsteady` those that only some made."""

    steps: Sequence[str] = ()
    unsteady: Sequence[str] = ()
    chosen: Sequence[str] = ()
    outcomes: dict[str, VerdictOutcome] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    worlds: list[Judgement] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> VerdictOutcome:
        of_worlds: list[VerdictOutcome] = [world.outcome for world in self.worlds]
        of_steps: list[VerdictOutcome] = [self.outcomes.get(step, "inconclusive") for step in self.chosen]
        trouble: list[VerdictOutcome] = ["infra-error"] if self.troubles else []
        return worst([*of_worlds, *of_steps, *trouble])


class Sweep:
    """`run` it once, in a foundation that outlives it."""

    def __init__(self, foundation: Foundation, run: RunFolder, product: Product, choose: Choose, say: Say) -> None:
        self.swept = Swept()
        self._foundation = foundation
        self._run = run
        self._product = product
        self._choose = choose
        self._say = say
        self._queue: deque[str] = deque()
        self._clean: list[list[str]] = []
        self._done = 0

    async def run(self, workers: int) -> None:
        """Raises HarnessError if not even the clean rolls can be had."""
        barrier = asyncio.Barrier(workers)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, workers + 1):
                    group.create_task(self._work(number, barrier))
        except ExceptionGroup as e:
            raise e.exceptions[0] from e

    async def _work(self, number: int, barrier: asyncio.Barrier) -> None:
        for part in range(1, WORLDS_MAX + 1):
            case = f"world-{number}.{part}"
            folder = self._run.case(f"{NAME}-{case}")
            with recording(folder, NAME, case, None) as recorder:
                env = await Environment.open(self._foundation, folder, recorder, self._product)
                try:
                    rolls = await Rolls.start(env)
                    clean = [await fresh_clean_roll(rolls) for _ in range(CLEAN_ROLLS)]
                    if part == 1:
                        await self._plan(clean, barrier)
                    await self._sweep_in(rolls)
                except HarnessError as e:
                    if part == 1 and not self.swept.chosen:
                        raise
                    self.swept.troubles.append(f"{case}: {e}")
                finally:
                    await env.close()
                if env.judgement.findings:
                    self._write_down(env, case)
            if not self._queue:
                return
        self.swept.troubles.append(f"{WORLDS_MAX} worlds did not settle, {len(self._queue)} steps are left")

    async def _plan(self, clean: list[list[str]], barrier: asyncio.Barrier) -> None:
        """When every worker has its clean rolls, the first to come here says what there is to do."""
        self._clean += clean
        await barrier.wait()
        if self.swept.steps:
            return
        first, *others = self._clean
        every, some = set(first).intersection(*others), set(first).union(*others)
        swept = self.swept
        swept.steps = [step for step in first if step in every]
        swept.unsteady = sorted(some - every)
        swept.chosen = self._choose(swept.steps)
        if not swept.chosen:
            raise HarnessError(f"none of the {len(swept.steps)} steps of a roll was chosen")
        self._queue.extend(swept.chosen)
        self._say(
            f"{len(swept.steps)} steps in each of {len(self._clean)} clean rolls ({len(swept.unsteady)} more in some); "
            f"{len(swept.chosen)} to sweep"
        )

    async def _sweep_in(self, rolls: Rolls) -> None:
        """Until the queue is empty, or this world does not settle. Raises HarnessError; what was done is judged."""
        if not self._queue:
            return
        env = rolls.env
        await env.mark(_FIRST)
        try:
            while self._queue and rolls.settled():
                await self._aim(rolls, self._queue.popleft())
        finally:
            await env.mark(_LAST)
            self.swept.worlds.append(await env.judge(*_CHECKS))
            for aim, (outcome, words) in outcomes(env.recorder.history()).items():
                step = aim.removeprefix(BEFORE)
                self.swept.outcomes[step] = outcome
                self.swept.words[step] = words

    async def _aim(self, rolls: Rolls, step: str) -> None:
        try:
            reached = await killed_once(rolls, step)
        except HarnessError:
            # Another world may do better.
            self._queue.append(step)
            raise
        self._done += 1
        word = "killed before" if reached else "not reached:"
        self._say(f"{self._done}/{len(self.swept.chosen)} {word} {step}")

    def _write_down(self, env: Environment, case: str) -> None:
        summary = summarise(env.recorder.history(), env.judgement)
        write_result(
            env.folder,
            CaseRecord(
                id=f"{NAME}[{case}]",
                title=f"An agent killed before each step of a roll: {case}",
                scenario=NAME,
                case=case,
                defect=None,
                outcome=summary.outcome,
                headline=summary.headline,
                facts=(),
                seconds=env.recorder.now_s,
                artefacts={path.stem: path.name for path in sorted(env.folder.glob("*.log"))},
                rerun="fleetproof sweep roll",
            ),
        )
