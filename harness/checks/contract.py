"""Checks on the buckets themselves: that they are what docs/contract.md says, and that nobody replaced them."""

from datetime import datetime

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket
from harness.checks.judge import Finding, failed, inconclusive, passed
from harness.history import History, StreamState

# The broker's clock and the operator's need not agree to the microsecond.
_CLOCKS_APART_US_MAX = 60_000_000


def buckets_honour_contract(history: History) -> Finding:
    """`buckets-honour-contract`: all buckets are there at the end, configured as the contract has it."""
    name = "buckets-honour-contract"
    last = {state.bucket: (line, state) for line, state in history.numbered(StreamState)}
    wrong: list[str] = []
    lines: list[int] = []
    for bucket in Bucket:
        if bucket.value not in last:
            wrong.append(f"{bucket.value} is not there")
            continue
        line, state = last[bucket.value]
        problems = _problems(bucket, state)
        wrong.extend(f"{bucket.value} {problem}" for problem in problems)
        if problems:
            lines.append(line)
    if wrong:
        return failed(name, "; ".join(wrong), lines)
    return passed(name, f"all {len(Bucket)} buckets are there and configured as the contract says")


def _problems(bucket: Bucket, state: StreamState) -> list[str]:
    problems: list[str] = []
    if state.history_per_key != 1:
        problems.append(f"keeps {state.history_per_key} values per key, not 1")
    wanted = f"{DESIRED_SUBJECT_PREFIX}.>" if bucket is Bucket.DESIRED_STATE else None
    if state.republished_to != wanted:
        problems.append(f"republishes to {state.republished_to}, not to {wanted}")
    return problems


def new_buckets_start_high(history: History) -> Finding:
    """`revisions-never-reused`: a bucket made in this run starts at the time of its making, in microseconds."""
    name = "revisions-never-reused"
    first: dict[str, tuple[int, StreamState]] = {}
    for line, state in history.numbered(StreamState):
        first.setdefault(state.bucket, (line, state))
    if not first:
        return inconclusive(name, "no bucket was seen")
    low = [
        line
        for line, state in first.values()
        if state.first_seq < datetime.fromisoformat(state.created_at).timestamp() * 1e6 - _CLOCKS_APART_US_MAX
    ]
    if low:
        return failed(name, f"{len(low)} buckets start at a low revision, which a later life will use again", low)
    return passed(name, f"{len(first)} buckets start at the microsecond they were made")


def buckets_kept(history: History) -> Finding:
    """`buckets-kept`: a bucket that was there is the same one at the end; nobody deleted and made it again."""
    name = "buckets-kept"
    made: dict[str, tuple[int, str]] = {}
    replaced: list[int] = []
    for line, state in history.numbered(StreamState):
        known = made.setdefault(state.bucket, (line, state.created_at))
        if known[1] != state.created_at:
            replaced += [known[0], line]
    if not made:
        return inconclusive(name, "no bucket was seen")
    if replaced:
        return failed(name, "a bucket was deleted and made again; what devices had reported in it is lost", replaced)
    return passed(name, f"{len(made)} buckets are the ones that were there first")
