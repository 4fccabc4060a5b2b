"""Which cluster it talks to is asked at the start and never again."""

from fleet.operator import main
from scenarios.defects.defect import Defect


def _patch() -> None:
    def the_same(*_: object) -> None:
        return None

    main.check_cluster = the_same  # type: ignore[attr-defined, assignment] # the name that it imported, not the function


CLUSTER_ASKED_ONCE = Defect(
    name="cluster-asked-once",
    shape="other-cluster",
    case="replaced-while-up",
    check="nothing-written",
    story="The management cluster was rebuilt behind its old name, with the examples from the handbook in it. An "
    "operator that was started anew refused; the one that had been running all the while rolled the examples out.",
    patch=_patch,
)
