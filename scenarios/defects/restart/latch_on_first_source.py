"""Converged as soon as one source has replayed, instead of all."""

from fleet.operator.deployments_last import DeploymentsLast
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

    def at_once(self: DeploymentsLast) -> None:
        self._ready.set()

    # Two more nets, which this one has not: Deployments are folded after all else, and the first tick asks each replica
    # whether it has caught up.
    DeploymentsLast._look = at_once  # type: ignore[method-assign] # the point of a defect
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
