"""One entry that cannot be understood ends the reading of all that came with it."""

from fleet.bus.entry import Entries
from fleet.errors import WireError
from fleet.operator.sources import BucketSource
from fleet.wire import DeviceId, Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def entries(self: BucketSource[Pair] | BucketSource[DeviceId], found: Entries) -> None:
        self.books.recovery.saw(self.name, len(found))
        key = ""
        try:
            for entry in found:
                key = entry.key
                self._fold(self._parse_key(key), entry)  # type: ignore[arg-type] # either kind of name
        except WireError as e:
            self.books.malformed(self.name, key, str(e))
        self.books.wake()

    BucketSource.entries = entries  # type: ignore[method-assign, assignment] # the point of a defect


POISONED_REPLAY = Defect(
    name="poisoned-replay",
    shape="malformed-device-state",
    case="unknown-phase-replay",
    check="status-true-at",
    story="The handler of errors stood around the loop instead of inside it. One device with a beta agent reported a "
    "phase of its own, and after the next restart the devices that were read after it stayed pending.",
    patch=_patch,
)
