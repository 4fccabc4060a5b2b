"""How one Deployment's matched pairs count, adjusted as they change and never recounted. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleet.wire import DeviceId, Phase


class Standing(StrEnum):
    """How one matched pair counts in a Deployment's status (docs/contract.md)."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STALE = "stale"
    # Nobody can know yet whether its device is silent; until then the status stands as it is.
    UNDECIDED = "undecided"


STANDING_OF_PHASE = {
    Phase.PENDING: Standing.PENDING,
    Phase.RUNNING: Standing.SUCCEEDED,
    Phase.FAILED: Standing.FAILED,
}


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A device's report of why a pair failed. Ordered, so that "the last error" is one and the same everywhere."""

    at: datetime
    device: DeviceId
    message: str


@dataclass(slots=True)
class Tally:
    """Counts of one Deployment's matched pairs by standing, how many keys are yet to be written, and who failed."""

    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    unsettled: int = 0
    failures: dict[DeviceId, Failure] = field(default_factory=dict)
    _last: Failure | None = None

    @property
    def matched(self) -> int:
        return sum(self.counts.values())

    @property
    def last_failure(self) -> Failure | None:
        """The newest failure. Searched for only after the newest one was taken away."""
        if self._last is None and self.failures:
            self._last = max(self.failures.values())
        return self._last

    def set_failure(self, device: DeviceId, failure: Failure | None) -> None:
        previous = self.failures.pop(device, None)
        if previous == self._last:
            self._last = None
        if failure is not None:
            # With `_last` unset and others there, the newest is unknown: leave it to the search.
            if (self._last is not None and failure > self._last) or not self.failures:
                self._last = failure
            self.failures[device] = failure
