"""Runs one seed from its beginning to its end."""

from fleet.agent.reconcile import next_step
from fleet.agent.tests.sim.chaos import Chaos
from fleet.agent.tests.sim.judge import RuleError
from fleet.agent.tests.sim.world import NextStep, World


def run(seed: int, decide: NextStep = next_step) -> World:
    """Raises RuleError, with the story and how to see it again."""
    world = World(seed, decide)
    try:
        world.start_agent()
        world.run(Chaos(world, seed).run())
        world.settle()
    except RuleError as e:
        rerun = f"rerun: .venv/bin/python -m fleet.agent.tests.sim --seed {seed}"
        raise RuleError(f"{world.story()}\nseed {seed}: {e}\n{rerun}") from e
    return world
