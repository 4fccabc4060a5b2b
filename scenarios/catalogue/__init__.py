"""The catalogue: all shapes as data, by family. The tests of a family are in scenarios/test_*.py."""

from scenarios.catalogue.apiserver import APISERVER
from scenarios.catalogue.broker import BROKER
from scenarios.catalogue.down import DOWN
from scenarios.catalogue.entries import ENTRIES
from scenarios.catalogue.operators import OPERATORS
from scenarios.catalogue.rebuild import REBUILD
from scenarios.catalogue.restart import RESTART
from scenarios.catalogue.shape import Risk, Shape
from scenarios.catalogue.world import WORLD

__all__ = ["SHAPES", "Risk", "Shape", "shape"]


def _place(shape: Shape) -> tuple[bool, int]:
    """The twenty in their order, then the wrong worlds."""
    return not shape.number.isdecimal(), int(shape.number.lstrip("W"))


SHAPES = tuple(sorted((*APISERVER, *BROKER, *DOWN, *ENTRIES, *OPERATORS, *REBUILD, *RESTART, *WORLD), key=_place))


def shape(shape_id: str) -> Shape:
    """By id or by number. Raises KeyError."""
    for candidate in SHAPES:
        if shape_id in (candidate.id, candidate.number):
            return candidate
    raise KeyError(shape_id)
