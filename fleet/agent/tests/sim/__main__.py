"""Runs seeds by hand: `python -m fleet.agent.tests.sim --seed 7`, or `--seeds 0:1000`."""

import argparse
import sys
import time

from fleet.agent.tests.sim import seeds
from fleet.agent.tests.sim.judge import RuleError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fleet.agent.tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one and tell its story")
    parser.add_argument("--seeds", default="0:1000", help="FROM:TO, run all of them and name those that fail")
    args = parser.parse_args()
    if args.seed is not None:
        try:
            told = seeds.run(args.seed).story()
        except RuleError as e:
            sys.stdout.write(f"{e}\n")
            return 1
        sys.stdout.write(f"{told}\nseed {args.seed}: all well\n")
        return 0
    first, _, end = args.seeds.partition(":")
    failed = 0
    began_s = time.perf_counter()
    for seed in range(int(first), int(end)):
        try:
            seeds.run(seed)
        except RuleError as e:
            failed += 1
            sys.stdout.write(f"{str(e).splitlines()[-2]}\n")
    sys.stdout.write(f"{failed} of {int(end) - int(first)} seeds failed, {time.perf_counter() - began_s:.1f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
