"""What a mutant is."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

Change = Callable[[pytest.MonkeyPatch], None]


class Mutant(NamedTuple):
    """A change to the product, the rule by which it is found, and the first seed that finds it."""

    change: Change
    rule: str
    seed: int

    @property
    def name(self) -> str:
        return self.change.__name__


def found_by(rule: str, seed: int) -> Callable[[Change], Mutant]:
    """The judge names `rule`, which may be another than the one that the mutant's story names: it sees the outcome."""
    return lambda change: Mutant(change, rule, seed)
