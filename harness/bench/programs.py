"""Runs a contestant as a process of its own and reads the one line that it answers."""

import os
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec

from fleet.wire import Bucket
from harness.bench.contestants.assignment import Answer, Assignment
from harness.bench.figures import Sample
from harness.bench.operators import STALE_AFTER_S
from harness.bench.stage import World
from harness.errors import ServiceError
from harness.services.process import ManagedProcess

PROGRAMS = {
    "nats-drain": "harness.bench.contestants.nats_drain",
    "list-drain": "harness.bench.contestants.list_drain",
    "both-drains": "harness.bench.contestants.both_drains",
    "twin": "harness.bench.contestants.twin",
}
# The contestants list in pages, of the length that is best for them: pages of 500 take an eighth more time.
PAGE_LIMIT = 1000
_numbers = count(1)


def write_assignment(here: World, buckets: Sequence[Bucket]) -> Path:
    """The file that tells every contestant where the world is."""
    kube = here.stage.kube
    given = Assignment(
        nats_url=here.nats.url,
        buckets=[bucket.value for bucket in buckets],
        kube_url=kube.url,
        ca_pem=kube.ca_pem.decode(),
        token=kube.token("admin"),
        kubeconfig=str(here.kubeconfig),
        namespace=here.namespace,
        page_limit=PAGE_LIMIT,
        stale_after_s=STALE_AFTER_S,
    )
    path = here.folder / "assignment.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(given))
    return path


async def run_program(here: World, name: str, assignment: Path, *, within_s: float) -> tuple[Sample, Answer]:
    """Start one of PROGRAMS and wait for its end. Raises ServiceError or WaitTimeout."""
    log = here.folder / f"{name}-{next(_numbers)}.log"
    spawned_at_s = time.monotonic()
    process = await ManagedProcess.spawn(
        name,
        [sys.executable, "-m", PROGRAMS[name], str(assignment)],
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(here.folder)},
        cwd=here.folder,
        log_path=log,
        warden=here.stage.warden,
    )
    try:
        code = await process.wait_exit(within_s)
    finally:
        await process.kill()
    last = process.tail(1)
    try:
        answer = msgspec.json.decode(last, type=Answer)
    except msgspec.MsgspecError:
        answer = None
    if code != 0 or answer is None:
        raise ServiceError(f"{name} ended with exit code {code} and said: {process.tail(5)[-500:]}")
    sample = Sample(
        startup_s=answer.imported_at_s - spawned_at_s,
        seconds=answer.done_at_s - answer.imported_at_s,
        cpu_s=answer.cpu_s,
        rss_max_bytes=answer.rss_max_bytes,
    )
    return sample, answer
