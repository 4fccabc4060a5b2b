"""Checks on the buckets themselves: that they are what docs/contract.md says, and that nobody replaced them."""

from datetime import datetime

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.checks.window import last_read
from harness.history import History, StreamState

# The broker's clock and the operator's need not agree to the microsecond. A stream's first revision also moves up as
# values are superseded, by one a write: far fewer than this.
_CLOCKS_APART_US_MAX = 60_000_000


@check
def buckets_honour_contract(history: History) -> Finding:
    """`buckets-honour-contract`: all buckets are there at the end, configured as the contract has it."""
    name = "buckets-honour-contract"
    wrong: list[str] = []
    lines: list[int] = []
    for bucket in Bucket:
        read = last_read(history, bucket)
        if read is None:
            wrong.append(f"{bucket.value} is not there")
            continue
        line, state = read
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


@check
def new_buckets_start_high(history: History) -> Finding:
    """`revisions-never-reused`: a bucket made in this run starts at the time of its making, in microseconds."""
    name = "revisions-never-reused"
    # A bucket that was deleted and made again is another one, and the one that this is about.
    first: dict[tuple[str, str], tuple[int, StreamState]] = {}
    for line, state in history.numbered(StreamState):
        first.setdefault((state.bucket, state.created_at), (line, state))
    if not first:
        return inconclusive(name, "no bucket was seen")
    off = [line for line, state in first.values() if not _starts_at_its_making(state)]
    if off:
        return failed(
            name,
            f"{len(off)} buckets do not start at the microsecond of their making: a later life may use their "
            "revisions again",
            off,
        )
    return passed(name, f"{len(first)} buckets start at the microsecond they were made")


def _starts_at_its_making(state: StreamState) -> bool:
    made_us = datetime.fromisoformat(state.created_at).timestamp() * 1e6
    return abs(state.first_seq - made_us) <= _CLOCKS_APART_US_MAX


@check
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
    gone = [bucket for bucket in Bucket if bucket.value in made and last_read(history, bucket) is None]
    if gone:
        lines = [made[bucket.value][0] for bucket in gone]
        return failed(name, f"{', '.join(gone)} was there and is not at the end; what it held is lost", lines)
    if replaced:
        why = "a bucket was deleted and made again; what devices had reported in it is lost"
        return failed(name, why, sorted(set(replaced)))
    return passed(name, f"{len(made)} buckets are the ones that were there first")
