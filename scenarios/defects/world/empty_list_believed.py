"""The brake lets every sweep through."""

from fleet.operator.sweep import Brake
from scenarios.defects.defect import Defect


def _patch() -> None:
    def never(_: Brake, *__: object) -> None:
        return None

    Brake._wrong_world = never  # type: ignore[method-assign, assignment] # the point of a defect


EMPTY_LIST_BELIEVED = Defect(
    name="empty-list-believed",
    shape="crds-reinstalled",
    case="down",
    check="fleet-kept",
    story="The sweep trusted any list that the API server answered in good order. A chart was uninstalled and "
    "installed again, and for the ten seconds in between the list was good, and empty: every device stopped its work.",
    patch=_patch,
)
