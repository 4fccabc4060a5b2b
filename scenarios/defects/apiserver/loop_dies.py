"""A loop that raises is logged and ends; the process goes on without it."""

import asyncio
from collections.abc import Awaitable

from fleet.operator.main import Operator, Stopped
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def supervised(self: Operator, name: str, loop: Awaitable[None]) -> None:
        try:
            await loop
        except Stopped:
            raise
        except Exception as e:  # noqa: BLE001 - the point of a defect
            self._log.error("loop_failed", loop=name, exc_info=e)
            await asyncio.Event().wait()

    Operator._supervised = supervised  # type: ignore[method-assign] # the point of a defect


LOOP_DIES = Defect(
    name="loop-dies",
    shape="status-path-panic",
    case="second",
    check="crash-only",
    story="Each loop was a task of its own that nobody waited for. The one that patched status met a value it could "
    "not format and was gone; the pod was Running and ready, and every status showed the day before.",
    patch=_patch,
)
