"""Runs seeds by hand: `python -m fleet.operator.tests.sim --seed 7`, or `--seeds 0:1000`."""

import sys

from fleet.operator.tests.sim.world import run
from fleet.tests import seeds_by_hand

if __name__ == "__main__":
    sys.exit(seeds_by_hand.main("fleet.operator.tests.sim", run, lambda world: world.story.written()))
