"""Converged as soon as one source has replayed, instead of all."""

from fleet.operator.main import Operator
from fleet.operator.recovery import Recovery
from scenarios.defects.defect import Defect


def _patch() -> None:
    def settle(self: Recovery) -> None:
        converged = any(source.current for source in self.sources.values())
        self.converged_count += converged and not self._converged
        self._converged = converged

    async def never_behind(_: Operator) -> None:
        return

    # The first tick asks each replica as well whether it has caught up: a second net, which this one has not.
    Operator._caught_up = never_behind  # type: ignore[method-assign, assignment] # the point of a defect
    Recovery._settle = settle  # type: ignore[method-assign] # the point of a defect


LATCH_ON_FIRST_SOURCE = Defect(
    name="latch-on-first-source",
    shape="cold-restart-full-kv",
    case="8x4-slow-broker",
    check="zero-status-patches",
    story="The readiness latch was set by the first watcher that finished, since in the test cluster they all finished "
    "at once. On a real one each restart wrote zeros into every status, and then the truth again.",
    patch=_patch,
)
