"""Every orphan goes at once, however many there are."""

from collections.abc import Sequence

from fleet.operator.sweep import Brake
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def let_all_go(_: Brake, orphans: Sequence[Pair], **__: object) -> list[Pair]:
        return list(orphans)

    Brake.release = let_all_go  # type: ignore[method-assign, assignment] # the point of a defect


NO_BRAKE = Defect(
    name="no-brake",
    shape="deployment-deleted-while-down",
    case="force-22-keys-held",
    check="held-by-brake",
    story="The operator was started with the kubeconfig of the new cluster, in which nobody had created anything yet. "
    "It did what it was made for.",
    patch=_patch,
)
