"""What is under test."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """How its parts are started: programs with their arguments. They learn the rest from their environment."""

    operator: Sequence[str]
    agent: Sequence[str] = ()
