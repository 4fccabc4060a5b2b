"""What a shape is: what is injected, what must hold, what goes wrong where it does not (DESIGN §7, seed 001)."""

from dataclasses import dataclass
from typing import Literal

Risk = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One recovery shape.

    `id` is short and stable; `number` is its place in the catalogue: 1 to 20, or the letter of its family and a number
    (W for wrong worlds, R for what an agent rolls forward).

    `oracle` says what the verdict is read from; `diagram` draws it in a few lines of text, time from left to right.
    """

    number: str
    id: str
    title: str
    trigger: str
    expected: str
    oracle: str
    risk: Risk
    diagram: str

    @property
    def family(self) -> str:
        """Its letter; none for the twenty."""
        return self.number.rstrip("0123456789")
