"""A lost bucket of reports is made again, and nobody is asked to fill it."""

from nats.aio.client import Client

from fleet.bus import republish
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def nobody(client: Client, window_s: int) -> None:  # noqa: ARG001 - as it is called
        return

    republish.ask = nobody


NOBODY_ASKED = Defect(
    name="nobody-asked",
    shape="stream-loss",
    case="state-deleted",
    check="reports-back",
    story="Agents publish when something changes. After the loss nothing changed on most devices, so they counted as "
    "pending for weeks.",
    patch=_patch,
)
