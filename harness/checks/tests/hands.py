"""A story in which somebody writes entries by hand: bad ones, odd keys, orphans."""

from collections.abc import Mapping

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding
from harness.checks.tests.story import Story, settled
from harness.history import HAND, Complaints, Op

KEY = "site.rack.device-0.app"
STATE_KEY = f"state.{KEY}"
BAD = '{"phase":'
ODD = "Device-0.app"
ORPHAN = "device-9.app"


class Hands(Story):
    """A story in which somebody writes entries by hand."""

    def by_hand(self, bucket: Bucket, key: str, value: str = BAD, action: str = "put") -> int:
        """Writes of desired-state are seen by the witness, too."""
        if bucket is Bucket.DESIRED_STATE:
            self.stored(key, value, "put" if action == "put" else "delete")
        revision = self.revision if bucket is Bucket.DESIRED_STATE else len(self.records)
        return self.op(f"{action} {bucket}", key, revision, value)

    def look(self, bucket: Bucket, key: str, revision: int | None) -> int:
        return self.op(f"get {bucket}", key, revision)

    def op(self, action: str, key: str, revision: int | None, detail: str = "") -> int:
        return self.add(
            Op(
                at_s=self.at_s,
                client=HAND,
                action=action,
                target=key,
                invoked_s=self.at_s,
                outcome="ok",
                revision=revision,
                detail=detail,
            )
        )

    def told(self, process: str = "operator-1", counted: int = 1, logged: Mapping[str, int] | None = None) -> int:
        return self.add(
            Complaints(
                at_s=self.at_s,
                process=process,
                counted={"device-state": counted},
                logged=dict({f"device-state {STATE_KEY}": 1} if logged is None else logged),
            )
        )


def hands() -> Hands:
    """A settled world, an operator, and the mark `struck`."""
    story = Hands()
    story.process("spawned")
    other = settled()
    story.records += other.records
    story.at_s, story.revision, story.newest = other.at_s + 1, other.revision, other.newest
    story.asked_and_marked("struck")
    return story


def asked(check: Ask, story: Story) -> Finding:
    return check(story.history())
