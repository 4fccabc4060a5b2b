"""The path that writes status panics: something is raised in there that nobody expects.

    start with `environment` -> apply arms a file -> the k-th status patch raises -> what the product makes of it
                                                                                     restart (healed)

A sound product treats whatever a peer answers as expected, so nothing from outside makes it panic. This raises inside
its process, in the HTTP library below it: any operator that is a Python program on that library can be hit so.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from harness.errors import ServiceError
from harness.faults import panic_site
from harness.faults.fault import Fault
from harness.services.operator import OperatorProcess
from harness.wait import wait_for

ARMED_BY = "FLEETPROOF_PANIC"
RAISED_WITHIN_S = 10.0
ANSWER_WITHIN_S = 30.0


def environment(folder: Path, name: str) -> Mapping[str, str]:
    """What an operator is started with so that it can be made to panic, by a file of that name in `folder`."""
    return {"PYTHONPATH": str(Path(panic_site.__file__).parent), ARMED_BY: str(folder / f"{name}.panic")}


class StatusPanic(Fault):
    """The `ordinal`-th status patch from now on raises in the operator `target`, which has these `settings`.

    `provoke` makes status patches needed; `restart` ends what may be left of that life and starts the next.
    """

    name = "status-panic"

    def __init__(
        self,
        target: str,
        settings: Mapping[str, str],
        ordinal: int,
        *,
        provoke: Callable[[], Awaitable[object]],
        restart: Callable[[], Awaitable[OperatorProcess]],
    ) -> None:
        self.target = target
        self.successor: OperatorProcess | None = None
        self._armed_by = Path(settings[ARMED_BY])
        self._ordinal = ordinal
        self._provoke = provoke
        self._restart = restart

    async def apply(self) -> None:
        self._armed_by.write_text(str(self._ordinal))

    async def prove_active(self) -> str:
        raised = self._armed_by.with_suffix(".raised")
        await self._provoke()
        await wait_for(
            f"status patch {self._ordinal} of {self.target} to raise",
            lambda: True if raised.exists() else None,
            deadline_s=RAISED_WITHIN_S,
        )
        return f"raised in {raised.read_text()}"

    async def heal(self) -> None:
        self._armed_by.unlink(missing_ok=True)
        self.successor = await self._restart()

    async def prove_healed(self) -> str:
        if self.successor is None:
            raise ServiceError("nobody was started in its place")
        recovery = await self.successor.wait_answering(ANSWER_WITHIN_S)
        return f"pid {self.successor.process.pid} answers: {recovery.phase}"
