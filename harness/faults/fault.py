"""What every fault can do, and the one way to apply and heal it so that the history shows both with their proofs."""

import asyncio
from abc import ABC, abstractmethod

from harness.errors import HarnessError
from harness.history import Fault as FaultRecord
from harness.history import Recorder
from harness.history.records import FaultEvent


class Fault(ABC):
    """A thing that goes wrong, from outside. `target` is symbolic: operator, broker link, a bucket.

    Its life: `available`, `apply`, `prove_active`, `heal`, `prove_healed`; whoever applied it ends with `close`.
    """

    name: str
    target: str

    def available(self) -> str | None:
        """In words, what it lacks on this machine; None if it can be applied. May block for seconds (a probe)."""
        return None

    @abstractmethod
    async def apply(self) -> None:
        """Raises HarnessError if it cannot be done."""

    @abstractmethod
    async def prove_active(self) -> str:
        """What was seen that shows it bites. Raises HarnessError if nothing does."""

    @abstractmethod
    async def heal(self) -> None:
        """Raises HarnessError if it cannot be undone."""

    @abstractmethod
    async def prove_healed(self) -> str:
        """What was seen that shows it is over. Raises HarnessError if nothing does."""

    async def close(self) -> None:  # noqa: B027 - most faults hold nothing of that kind
        """Give back what outlives the environment (a mount, a namespace, a task), healed or not. Idempotent."""


async def strike(fault: Fault, recorder: Recorder) -> None:
    """Apply and prove. A failed proof is recorded, not raised: the checks will call the run inconclusive."""
    if (missing := await asyncio.to_thread(fault.available)) is not None:
        _note(fault, recorder, "applied")
        _note(fault, recorder, "unproved", f"not available here: {missing}")
        return
    _note(fault, recorder, "applied")
    await fault.apply()
    try:
        _note(fault, recorder, "proved-active", await fault.prove_active())
    except HarnessError as e:
        _note(fault, recorder, "unproved", str(e))


async def mend(fault: Fault, recorder: Recorder) -> None:
    """Heal and prove, recorded like `strike`."""
    await fault.heal()
    _note(fault, recorder, "healed")
    try:
        _note(fault, recorder, "proved-healed", await fault.prove_healed())
    except HarnessError as e:
        _note(fault, recorder, "unproved", str(e))


def _note(fault: Fault, recorder: Recorder, event: FaultEvent, detail: str = "") -> None:
    recorder.add(FaultRecord(at_s=recorder.now_s, name=fault.name, target=fault.target, event=event, detail=detail))
