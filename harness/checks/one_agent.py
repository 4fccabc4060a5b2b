"""The check that of two agents on one device only one acts, by the heartbeats that the broker stored."""

from fleet.errors import WireError
from fleet.wire import Bucket, decode_heartbeat
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.window import Marks, Window, between
from harness.history import History, KvEntry


@check_of
def one_acts(start: str, end: str) -> Ask:
    """`one-agent-acts`: between two marks one agent beats, and no other.

    Only the holder of the device lock beats (rule A30), so who beats is who acts.
    """
    name, window = "one-agent-acts", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        found = {who: line for line, who in _beats(history) if first < line < last}
        if not found:
            return inconclusive(name, f"nobody beat between {start} and {end}", [first, last])
        if len(found) > 1:
            return failed(name, f"{len(found)} agents beat between {start} and {end}: both act", list(found.values()))
        return passed(name, f"one agent beat between {start} and {end}", list(found.values()))

    return between(name, window, ask)


def _beats(history: History) -> list[tuple[int, str]]:
    """Line and instance of each."""
    found = []
    for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DEVICE_HEARTBEAT):
        try:
            found.append((line, decode_heartbeat(entry.value.encode()).instance_id))
        except WireError:
            continue
    return found
