"""What tests of faults share: a link to a broker, and what was proved of a fault."""

from harness.devices.tests.broker import Broker
from harness.faults.fault import Fault, mend, strike
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord

PROVED = ["applied", "proved-active", "healed", "proved-healed"]


async def struck(broker: Broker, fault: Fault) -> list[str]:
    """Apply and heal; what was proved of it this time."""
    before = len(broker.recorder.history().of(FaultRecord))
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    return [record.event for record in broker.recorder.history().of(FaultRecord)[before:]]


async def proved_without_teeth(broker: Broker, fault: Fault) -> bool:
    """Whether a fault that does nothing is taken for one that bites."""
    return "proved-active" in await struck(broker, Toothless(fault))
