"""What a defect is. Its patch runs in the operator's process before the operator starts, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """`shape` and `case` say where it shows; `check` is the one that must turn red; `story` how it happens in life.

    The operator with it has to converge first, or nothing was caught; `at_start` says that it cannot.
    """

    name: str
    shape: str
    case: str
    check: str
    story: str
    patch: Callable[[], None]
    at_start: bool = False
