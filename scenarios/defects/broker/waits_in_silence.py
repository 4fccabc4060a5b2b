"""A write that the broker acknowledged and never showed is waited for without a word."""

from fleet.operator.desired_writer import DesiredWriter
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def wait_on(self: DesiredWriter, pair: Pair, revision: int) -> None:  # noqa: ARG001 - as it is called
        return

    DesiredWriter._look_for = wait_on  # type: ignore[method-assign] # the point of a defect


WAITS_IN_SILENCE = Defect(
    name="waits-in-silence",
    shape="revision-extremes",
    case="62-crossed-by-an-edit",
    check="never-converged-in-silence",
    story="The server's store took an update and lost it. The operator said Converged, and the Deployment was at "
    '"Writing" for three days.',
    patch=_patch,
)
