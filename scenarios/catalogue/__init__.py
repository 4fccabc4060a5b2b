"""The catalogue: all shapes as data, by family. The tests of a family are in scenarios/test_*.py."""

from scenarios.catalogue.agent_kill import AGENT_KILL
from scenarios.catalogue.agent_orders import AGENT_ORDERS
from scenarios.catalogue.agent_roll import AGENT_ROLL
from scenarios.catalogue.agent_upkeep import AGENT_UPKEEP
from scenarios.catalogue.apiserver import APISERVER
from scenarios.catalogue.broker import BROKER
from scenarios.catalogue.down import DOWN
from scenarios.catalogue.entries import ENTRIES
from scenarios.catalogue.operators import OPERATORS
from scenarios.catalogue.rebuild import REBUILD
from scenarios.catalogue.restart import RESTART
from scenarios.catalogue.shape import Risk, Shape
from scenarios.catalogue.world import WORLD

__all__ = ["SHAPES", "Risk", "Shape", "family", "shape"]


_FAMILIES = ("", "W", "R")


def _place(shape: Shape) -> tuple[int, int]:
    """The twenty in their order, then the wrong worlds, then what an agent rolls forward."""
    return _FAMILIES.index(shape.family), int(shape.number.removeprefix(shape.family))


SHAPES = tuple(
    sorted(
        (
            *APISERVER,
            *BROKER,
            *DOWN,
            *ENTRIES,
            *OPERATORS,
            *REBUILD,
            *RESTART,
            *WORLD,
            *AGENT_ROLL,
            *AGENT_UPKEEP,
            *AGENT_KILL,
            *AGENT_ORDERS,
        ),
        key=_place,
    )
)


def family(letter: str) -> list[Shape]:
    """All shapes of a family, by its letter."""
    return [candidate for candidate in SHAPES if letter and candidate.family == letter]


def shape(shape_id: str) -> Shape:
    """By id or by number. Raises KeyError."""
    for candidate in SHAPES:
        if shape_id in (candidate.id, candidate.number):
            return candidate
    raise KeyError(shape_id)
