"""News of objects that come before the operator is ready are dropped: they are thought to be part of the list."""

from typing import TypeVar

from fleet.kube.informer import Informer
from fleet.operator.main import Operator
from fleet.operator.recovery import Recovery
from fleet.settings import OperatorSettings
from scenarios.defects.defect import Defect

T = TypeVar("T")


def _patch() -> None:
    recoveries: list[Recovery] = []
    init, event = Operator.__init__, Informer._event

    def remember(self: Operator, settings: OperatorSettings) -> None:
        init(self, settings)
        recoveries.append(self.recovery)

    def drop(self: Informer[T], line: bytes) -> None:
        if all(recovery.converged for recovery in recoveries):
            event(self, line)

    Operator.__init__ = remember  # type: ignore[method-assign] # the point of a defect
    Informer._event = drop  # type: ignore[method-assign] # the point of a defect


NEWS_BEFORE_READY = Defect(
    name="news-before-ready",
    shape="cr-mutation-during-rebuild",
    case="replay-edit",
    check="equals-reference",
    story="The watch's handler returned early until the operator was ready, since everything before was taken to be of "
    "the list. With a large bucket the replay took a minute, and whoever edited a deployment in that minute "
    "waited for it for ever.",
    patch=_patch,
)
