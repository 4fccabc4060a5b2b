"""One life of the operator, timed by its own log.

`starting` is its first line: its imports are done and it listens. `converged` is the instant at which /recovery turns.
They carry the wall's time and the contestants' stamps are monotonic, but each figure is a difference on one clock.
"""

import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import aiohttp
import msgspec

from harness.bench.stage import World
from harness.bench.usage import Usage, usage_of
from harness.errors import ServiceError
from harness.services.ports import HOST, lease
from harness.services.process import ManagedProcess
from harness.wait import wait_for

CONVERGED = "Converged"
# Heartbeats are published once: no device of a benchmark goes stale while it runs.
STALE_AFTER_S = 86_400
_STARTS_WITHIN_S = 60.0
_STOPS_WITHIN_S = 15.0
_numbers = count(1)


class SourceSeen(msgspec.Struct):
    seen: int = 0
    current: bool = False


class RecoveryPage(msgspec.Struct):
    """What we read of /recovery."""

    phase: str
    sources: dict[str, SourceSeen] = {}


@dataclass(frozen=True, slots=True)
class Life:
    """An operator that has converged. Times in seconds; usage from its first line of log until it converged."""

    process: ManagedProcess
    url: str
    startup_s: float
    seconds: float
    usage: Usage
    recovery: RecoveryPage


@asynccontextmanager
async def operator(here: World, command: Sequence[str], *, converges_within_s: float) -> AsyncIterator[Life]:
    """Start one, wait until it has converged, and end it afterwards. Raises ServiceError or WaitTimeout."""
    port = lease()
    url = f"http://{HOST}:{port.port}"
    spawned_at = time.time()
    try:
        process = await ManagedProcess.spawn(
            f"operator-{next(_numbers)}",
            command,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(here.folder),
                "FLEET_NATS_URL": here.nats.url,
                "KUBECONFIG": str(here.kubeconfig),
                "FLEET_NAMESPACE": here.namespace,
                "FLEET_HTTP_ADDR": f"{HOST}:{port.port}",
                "FLEET_STALE_AFTER_S": str(STALE_AFTER_S),
            },
            cwd=here.folder,
            log_path=here.folder / f"operator-{time.monotonic_ns()}.log",
            warden=here.stage.warden,
        )
        try:
            started_at = await _logged(process, "starting", _STARTS_WITHIN_S)
            before = usage_of(process.pid)
            converged_at = await _logged(process, "converged", converges_within_s)
            after = usage_of(process.pid)
            recovery = await _recovery(url)
            yield Life(process, url, started_at - spawned_at, converged_at - started_at, after.since(before), recovery)
            process.check_running()
        finally:
            await process.stop(grace_s=_STOPS_WITHIN_S)
    finally:
        port.release()


async def _logged(process: ManagedProcess, event: str, deadline_s: float) -> float:
    """When it logged `event`, as it says itself: Unix time in seconds."""
    line = await process.wait_log(rf'"event": ?"{re.escape(event)}"', since=0, deadline_s=deadline_s)
    try:
        return datetime.fromisoformat(msgspec.json.decode(line.string)["at"]).timestamp()
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as e:
        raise ServiceError(f"{process.name}: a line of log without a time: {line.string[:200]!r}") from e


async def _recovery(url: str) -> RecoveryPage:
    """The page once it says Converged: the log's word alone is not enough."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

        async def converged() -> RecoveryPage | None:
            async with session.get(f"{url}/recovery") as answer:
                page = msgspec.json.decode(await answer.read(), type=RecoveryPage)
            return page if page.phase == CONVERGED else None

        return await wait_for(
            f"{url}/recovery to say {CONVERGED}",
            converged,
            deadline_s=_STARTS_WITHIN_S,
            expect=(aiohttp.ClientError, TimeoutError, msgspec.MsgspecError),
        )
