"""Nobody asks whose the buckets are."""

from fleet.bus import buckets
from scenarios.defects.defect import Defect


def _patch() -> None:
    def anybodys(*_: object) -> None:
        return None

    buckets.check_identity = anybodys  # type: ignore[assignment] # the point of a defect


IDENTITY_UNCHECKED = Defect(
    name="identity-unchecked",
    shape="other-cluster",
    case="same-names",
    check="nothing-written",
    story="The staging operator got the production broker's address from a copied secret. It found keys of the names "
    "that it knew, with other scores, and put them right: production ran staging's images within a second.",
    patch=_patch,
)
