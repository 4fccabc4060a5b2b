"""Runs the seeds of a simulated world by hand; `python -m` of each world's package comes here."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

World = TypeVar("World")


def main(package: str, run: Callable[[int], World], story: Callable[[World], str]) -> int:
    """Return the exit code. `run` raises an AssertionError that ends with what is wrong and how to run it again."""
    about = f"Runs seeds by hand: `python -m {package} --seed 7`, or `--seeds 0:1000`."
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    parser.add_argument("--seed", type=int, help="run this one and tell its story")
    parser.add_argument("--seeds", default="0:1000", help="FROM:TO, run all of them and name those that fail")
    args = parser.parse_args()
    if args.seed is not None:
        try:
            told = story(run(args.seed))
        except AssertionError as e:
            sys.stdout.write(f"{e}\n")
            return 1
        sys.stdout.write(f"{told}\nseed {args.seed}: all well\n")
        return 0
    first, _, end = args.seeds.partition(":")
    failed = 0
    began_s = time.perf_counter()
    for seed in range(int(first), int(end)):
        try:
            run(seed)
        except AssertionError as e:
            failed += 1
            sys.stdout.write(f"{str(e).splitlines()[-2]}\n")
    sys.stdout.write(f"{failed} of {int(end) - int(first)} seeds failed, {time.perf_counter() - began_s:.1f} s\n")
    return 1 if failed else 0
