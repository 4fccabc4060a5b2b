"""What a defect is. Its patch runs in the process of its part of the product before that starts, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Part = Literal["operator", "agent"]


@dataclass(frozen=True, slots=True)
class Defect:
    """`shape` and `case` say where it shows; `check` is the one that must turn red; `story` how it happens in life.

    What is defective has to come up first, or nothing was caught: an operator converges, an agent reports that it runs
    something. `at_start` says that it cannot.
    """

    name: str
    shape: str
    case: str
    check: str
    story: str
    patch: Callable[[], None]
    at_start: bool = False
    part: Part = "operator"
