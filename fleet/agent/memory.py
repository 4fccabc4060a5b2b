"""What the agent remembers of one slot. Losing it costs a pause or a look, never a wrong step. Pure.

Every deed that is repeated without an effect counts as a failure, so no slot can be busy in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleet.agent.attempts import Attempts
from fleet.agent.model import Container, ContainerState, Failure, Reason, ServiceSpec
from fleet.agent.steps import Create, Deed, Prepare, Remove, Start, Stop, last_good, right_container

STUCK_S = 60.0
"""A container may be neither running nor stopped for so long before that is a failure."""

_NONE = Attempts()


@dataclass(frozen=True, slots=True)
class Memory:
    """`raising`: the tries to get the wanted container to run. `clearing`: those to get rid of another one.

    `keeping`: those to keep the last good running while the wanted one cannot be made.
    """

    prepared: str | None = None
    """The digest whose image was found, for the creation that follows."""
    made: str | None = None
    """The digest whose container was there."""
    cleared: Stop | Remove | None = None
    """What the runtime says was done, until a look shows it."""
    odd_since_s: float | None = None
    """Since when a container of the slot is neither running nor stopped."""
    raising: Attempts = _NONE
    clearing: Attempts = _NONE
    keeping: Attempts = _NONE

    def seen(self, spec: ServiceSpec | None, own: Sequence[Container], now_s: float, dice: float) -> "Memory":
        """After a look that began after the last deed ended."""
        odd = any(c.state is ContainerState.OTHER for c in own)
        since_s = now_s if self.odd_since_s is None else self.odd_since_s
        after = _seen_cleared(replace(self, odd_since_s=since_s if odd else None), own, now_s, dice)
        if spec is None:
            return after
        return _seen_last_good(_seen_right(after, spec, own, now_s, dice), spec, own, now_s, dice)

    def done(self, deed: Deed, now_s: float) -> "Memory":
        match deed:
            case Prepare(spec):
                return replace(self, prepared=spec.digest)
            case Create(spec):
                # Whether an image is the newest is asked before each creation.
                return replace(self, prepared=None, made=spec.digest)
            case Start(container) if container.digest == self.raising.what:
                return replace(self, raising=self.raising.ran(now_s))
            case Start(container):
                return replace(self, keeping=self.keeping.at(container.id).ran(now_s))
        return replace(self, cleared=deed)

    def failed(self, deed: Deed, failure: Failure, now_s: float, dice: float) -> "Memory":
        """Not for a runtime that gave no answer: that is no attempt."""
        if isinstance(deed, (Stop, Remove)) and failure.reason is not Reason.PORT_TAKEN:
            return replace(self, clearing=self.clearing.at(deed.container.id).failed(failure, now_s, dice))
        if isinstance(deed, Start) and deed.container.digest != self.raising.what:
            return replace(self, keeping=self.keeping.at(deed.container.id).failed(failure, now_s, dice))
        raising = self.raising.failed(failure, now_s, dice)
        # The image may have been removed since it was prepared.
        return replace(self, prepared=None if isinstance(deed, Create) else self.prepared, raising=raising)

    def ordered_anew(self) -> "Memory":
        """The desired state changed: no old pause is in its way."""
        return replace(self, clearing=_NONE)


def _seen_cleared(memory: Memory, own: Sequence[Container], now_s: float, dice: float) -> Memory:
    cleared = memory.cleared
    if cleared is None:
        return memory
    still = next((c for c in own if c.id == cleared.container.id), None)
    after = replace(memory, cleared=None)
    if still is None or (isinstance(cleared, Stop) and not still.active):
        return after
    deed = "stopped" if isinstance(cleared, Stop) else "removed"
    failure = Failure(Reason.STOP_FAILED, f"the runtime says that it {deed} {still.name}, which is {still.state}")
    return after.failed(cleared, failure, now_s, dice)


def _seen_right(memory: Memory, spec: ServiceSpec, own: Sequence[Container], now_s: float, dice: float) -> Memory:
    raising = memory.raising.at(spec.digest)
    right = right_container(spec, own)
    if right is None:
        if memory.made == spec.digest:
            raising = raising.failed(Failure(Reason.EXITED, "its container was removed"), now_s, dice)
        return replace(memory, made=None, raising=raising)
    if right.state is ContainerState.RUNNING:
        raising = raising.ran(now_s)
    elif right.state is not ContainerState.OTHER and raising.running_since_s is not None:
        raising = raising.failed(Failure(Reason.EXITED, _end(right)), now_s, dice)
    return replace(memory, made=spec.digest, raising=raising)


def _seen_last_good(memory: Memory, spec: ServiceSpec, own: Sequence[Container], now_s: float, dice: float) -> Memory:
    old = last_good(spec, own)
    if old is None:
        return memory
    keeping = memory.keeping.at(old.id)
    if old.state is ContainerState.RUNNING:
        keeping = keeping.ran(now_s)
    elif not old.active and keeping.running_since_s is not None:
        keeping = keeping.failed(Failure(Reason.EXITED, _end(old)), now_s, dice)
    return replace(memory, keeping=keeping)


def _end(container: Container) -> str:
    return "it ended" if container.exit_code is None else f"it ended with exit code {container.exit_code}"
