"""What a read of the bucket does not bring any more is taken for deleted, whatever became of the bucket."""

from fleet.agent import desk
from fleet.agent.desired import Confirmed, NoValue, Standing, TearDown, Tombstone, Word, judge_confirmed
from fleet.agent.inbox import Heard, How, Inbox
from fleet.wire import DeploymentName
from scenarios.defects.defect import Defect


def _patch() -> None:
    read, wait = Inbox._read, Inbox._wait
    ever: set[DeploymentName] = set()
    listed: set[DeploymentName] = set()

    def note(self: Inbox, heard: Heard) -> None:
        ever.add(heard.deployment)
        if heard.how is How.READ:
            listed.add(heard.deployment)
        wait(self, heard)

    async def tidy_up(self: Inbox) -> None:
        listed.clear()
        await read(self)
        for name in ever - listed - self._told_since:
            wait(self, Heard(name, NoValue.MARKER, How.READ))

    def believed(standing: Standing, read: Word) -> Confirmed:
        if read is NoValue.ABSENT and not isinstance(standing, Tombstone):
            return TearDown()
        return judge_confirmed(standing, read)

    Inbox._read = tidy_up  # type: ignore[method-assign] # the point of a defect
    Inbox._wait = note  # type: ignore[method-assign] # the point of a defect
    desk.judge_confirmed = believed  # type: ignore[attr-defined] # the name that it imported


ABSENCE_IS_DELETION = Defect(
    name="absence-is-deletion",
    shape="desired-deleted",
    case="bucket-emptied",
    check="untouched",
    story="The agent compared what it ran with the list of keys, and removed the rest. An administrator purged the "
    "stream to save space. Within a minute every device of the fleet had stopped everything.",
    patch=_patch,
    part="agent",
)

ABSENCE_BESIDE_OPERATOR = Defect(
    name="absence-is-deletion-while-operator-is-down",
    shape="stream-loss",
    case="all-purged-down-agent",
    check="untouched",
    story="As before, in a night in which the operator's node was drained. In the morning it wrote every key again, "
    "and every container was a new one.",
    patch=_patch,
    part="agent",
)
