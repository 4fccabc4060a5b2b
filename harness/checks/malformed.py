"""The check on what an operator says of entries that it cannot understand."""

from harness.checks.entries import Entry, planted, replaces
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.history import Complaints, History, Process


@check
def malformed_counted(history: History) -> Finding:
    """`malformed-counted`: whoever saw malformed entries has counted each, and named each key once in its log.

    Judged for each operator whose counters and log were read, on what stood when it was started and what came later.
    """
    name = "malformed-counted"
    told = {c.process: (line, c) for line, c in history.numbered(Complaints)}
    entries = [entry for entry in planted(history) if entry.is_malformed]
    if not told or not entries:
        return inconclusive(name, "no malformed entry was written" if told else "nobody's counters and log were read")
    known = {f"{entry.bucket} {entry.key}" for entry in entries}
    wrong: list[tuple[int, str]] = []
    keys = 0
    for process, (line, complaints) in told.items():
        seen = _seen_by(history, entries, process, line)
        keys += len({(entry.bucket, entry.key) for entry in seen})
        for bucket in {entry.bucket for entry in seen}:
            number = len([entry for entry in seen if entry.bucket == bucket])
            counted = complaints.counted.get(bucket, 0)
            if counted < number:
                wrong.append((line, f"{process} counted {counted} of {number} malformed entries of {bucket}"))
        times = {what: complaints.logged.get(what, 0) for what in sorted({f"{e.bucket} {e.key}" for e in seen})}
        wrong += [
            (line, f"the log of {process} names {what} {n} times, not once") for what, n in times.items() if n != 1
        ]
        unknown = sorted(complaints.logged.keys() - known)
        wrong += [(line, f"{process} complains of {what}, which is well-formed") for what in unknown]
    if wrong:
        return failed(name, wrong[0][1], sorted({line for line, _ in wrong}))
    if not keys:
        return inconclusive(name, "every malformed entry was gone before an operator could see it")
    lines = [line for line, _ in told.values()]
    return passed(name, f"{keys} malformed keys, each counted and named once in the log", lines)


def _seen_by(history: History, entries: list[Entry], process: str, told_line: int) -> list[Entry]:
    """What an operator must have seen: what stood when it was started, and what was written later."""
    lives = history.numbered(Process, lambda p: p.name == process and p.event == "spawned")
    started = next((line for line, _ in lives), 0)
    before = history.records[:started]
    return [
        entry
        for entry in entries
        if entry.line < told_line
        and (entry.line > started or not any(replaces(record, entry) for record in before[entry.line :]))
    ]
