"""Lets the operator bring a new world to rest, once, so that what is measured later is an unchanged one."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.wire import Bucket
from harness.bench.audit import answered_since
from harness.bench.operators import RecoveryPage, operator
from harness.bench.stage import Say, World, fill
from harness.errors import ServiceError, WaitTimeout
from harness.services.process import log_mark
from harness.wait import wait_for

_QUIET_S = 3.0
_CHECK_EVERY_S = 0.5
_SETTLES_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class WriteMark:
    """An instant, as a place in the records of both servers."""

    audit_offset: int
    desired_sequence: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What the settling life showed: which buckets it replays."""

    recovery: RecoveryPage
    buckets: tuple[Bucket, ...]


async def mark(here: World) -> WriteMark:
    return WriteMark(log_mark(here.stage.kube.audit_path), await here.last_sequence(Bucket.DESIRED_STATE))


async def writes_since(here: World, start: WriteMark) -> int:
    """How many writes there were since: asked of the API server, and stored in desired-state."""
    answered = answered_since(here.stage.kube.audit_path, start.audit_offset, here.namespace)
    keys = await here.last_sequence(Bucket.DESIRED_STATE) - start.desired_sequence
    return sum(request.is_write for request in answered) + keys


async def settle(here: World, command: Sequence[str], *, converges_within_s: float, say: Say) -> Settled:
    """Make the buckets, fill the world, and let the operator write what it has to. Raises ServiceError."""
    say(f"{here.namespace}: an operator makes the buckets")
    async with operator(here, command, converges_within_s=converges_within_s):
        pass
    await fill(here, say)
    start = await mark(here)
    say(f"{here.namespace}: an operator settles the world")
    async with operator(here, command, converges_within_s=converges_within_s) as life:
        await _quiet(here, start, say)
    rewritten = await here.last_sequence(Bucket.DESIRED_STATE) - start.desired_sequence
    if rewritten:
        raise ServiceError(f"{here.namespace}: the operator wrote {rewritten} keys that were as it writes them")
    buckets = tuple(bucket for bucket in Bucket if bucket.value in life.recovery.sources)
    return Settled(life.recovery, buckets)


async def _quiet(here: World, start: WriteMark, say: Say) -> None:
    """Until nothing was written for a while."""
    last, checks = -1, 0

    async def probe() -> bool | None:
        nonlocal last, checks
        count = await writes_since(here, start)
        checks = checks + 1 if count == last else 0
        last = count
        return True if checks * _CHECK_EVERY_S >= _QUIET_S else None

    try:
        await wait_for(
            f"{_QUIET_S:g} s without a write",
            probe,
            deadline_s=_SETTLES_WITHIN_S,
            interval_s=_CHECK_EVERY_S,
            progress=say,
        )
    except WaitTimeout as e:
        raise ServiceError(f"{here.namespace}: the operator does not come to rest: {last} writes so far") from e
    say(f"{here.namespace}: at rest after {last} writes")
