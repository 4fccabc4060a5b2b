"""What every fault can do, and the one way to apply and heal it so that the history shows both with their proofs."""

from typing import Protocol

from harness.errors import HarnessError
from harness.history import Fault as FaultRecord
from harness.history import Recorder
from harness.history.records import FaultEvent


class Fault(Protocol):
    """A thing that goes wrong, from outside. `target` is symbolic: operator, broker link, a bucket."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...

    async def apply(self) -> None: ...

    async def prove_active(self) -> str:
        """What was seen that shows it bites. Raises HarnessError if nothing does."""
        ...

    async def heal(self) -> None: ...

    async def prove_healed(self) -> str:
        """What was seen that shows it is over. Raises HarnessError if nothing does."""
        ...


async def strike(fault: Fault, recorder: Recorder) -> None:
    """Apply and prove. A failed proof is recorded, not raised: the checks will call the run inconclusive."""
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
