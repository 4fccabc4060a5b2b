"""Runs seeds by hand: `python -m fleet.agent.tests.sim --seed 7`, or `--seeds 0:1000`."""

import sys

from fleet.agent.tests.sim.seeds import run
from fleet.agent.tests.sim.world import World
from fleet.tests import seeds_by_hand

if __name__ == "__main__":
    sys.exit(seeds_by_hand.main("fleet.agent.tests.sim", run, World.story))
