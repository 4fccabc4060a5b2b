"""A fault that does nothing: its proofs have to find that out."""

from harness.faults.fault import Fault


class Toothless(Fault):
    """Another fault without its bite. Whatever proves that one active has to fail on this one."""

    def __init__(self, fault: Fault) -> None:
        self.name = fault.name
        self.target = fault.target
        self._fault = fault

    def available(self) -> str | None:
        return self._fault.available()

    async def apply(self) -> None:
        """Nothing, and that is the point."""

    async def prove_active(self) -> str:
        return await self._fault.prove_active()

    async def heal(self) -> None:
        """There is nothing to undo."""

    async def prove_healed(self) -> str:
        return await self._fault.prove_healed()

    async def close(self) -> None:
        await self._fault.close()
