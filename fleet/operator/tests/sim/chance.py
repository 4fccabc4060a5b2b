"""One seed, many streams of chance: a change to one concern does not reshuffle the others."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Deals out the streams of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, concern: str) -> random.Random:
        return random.Random(f"{self.seed}/{concern}")  # noqa: S311 - a simulation, and it must repeat


def some(chance: random.Random, items: Sequence[T]) -> list[T]:
    """At least one of the items."""
    return chance.sample(items, chance.randint(1, len(items)))
