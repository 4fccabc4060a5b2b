"""A crash ends the process, and nothing says so before."""

from collections.abc import Awaitable

from fleet.operator.main import Operator
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def supervised(_: Operator, __: str, loop: Awaitable[None]) -> None:
        await loop

    Operator._supervised = supervised  # type: ignore[method-assign, assignment] # the point of a defect


READY_TO_THE_LAST = Defect(
    name="ready-to-the-last",
    shape="status-path-panic",
    case="first",
    check="crash-only",
    story="A crash closed everything in good order, and /readyz answered 200 while it did. The Service kept sending "
    "people to a dashboard whose operator was already deaf.",
    patch=_patch,
)
