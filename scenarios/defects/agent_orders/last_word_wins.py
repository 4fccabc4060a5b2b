"""Whatever is heard last is run: nobody looks at generations."""

from fleet.agent import desired
from scenarios.defects.defect import Defect


def _patch() -> None:
    def always(*_: object, **__: object) -> bool:
        return True

    desired._is_forward = always


LAST_WORD_WINS = Defect(
    name="last-word-wins",
    shape="desired-deleted",
    case="older-told",
    check="untouched",
    story="A message that had waited in a slow route came after the newer one. Three devices went back to an image "
    "with a hole that had been mended the same morning, and reported Running.",
    patch=_patch,
    part="agent",
)
