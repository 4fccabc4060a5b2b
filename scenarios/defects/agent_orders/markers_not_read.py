"""A read of the bucket brings values only, so a deletion counts only if the agent was there to hear of it."""

from fleet.agent.inbox import Inbox
from fleet.bus.entry import Entry
from scenarios.defects.defect import Defect


def _patch() -> None:
    found = Inbox._found

    def values_only(self: Inbox, entry: Entry) -> None:
        if entry.value is not None:
            found(self, entry)

    Inbox._found = values_only  # type: ignore[method-assign] # the point of a defect


MARKERS_NOT_READ = Defect(
    name="markers-not-read",
    shape="desired-deleted",
    case="agent-down",
    check="torn-down",
    story="A deployment was deleted while a truck was in a tunnel. The truck came out, asked for its keys, was told of "
    "those with values, and ran the deleted one for another year.",
    patch=_patch,
    part="agent",
)
