"""Deliberately broken variants of the product: each patches it from outside, and names the check that must catch it."""

from scenarios.defects.agent_kill import AGENT_KILL
from scenarios.defects.agent_orders import AGENT_ORDERS
from scenarios.defects.agent_roll import AGENT_ROLL
from scenarios.defects.agent_upkeep import AGENT_UPKEEP
from scenarios.defects.apiserver import APISERVER
from scenarios.defects.broker import BROKER
from scenarios.defects.defect import Defect
from scenarios.defects.down import DOWN
from scenarios.defects.entries import ENTRIES
from scenarios.defects.operators import OPERATORS
from scenarios.defects.rebuild import REBUILD
from scenarios.defects.restart import RESTART
from scenarios.defects.world import WORLD

__all__ = ["DEFECTS", "Defect", "defects_of"]

DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
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
    )
}


def defects_of(shape_id: str) -> list[Defect]:
    return [defect for defect in DEFECTS.values() if defect.shape == shape_id]
