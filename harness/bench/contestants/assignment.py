"""What a contestant is told, what it answers, and how it takes its own time."""

import os
import sys
import time
from pathlib import Path

import msgspec

from harness.bench.usage import usage_of

Aggregate = dict[str, int]
"""matched, succeeded, pending, failed, stale: how many devices of one Deployment are in each."""

COUNTS = ("matched", "succeeded", "pending", "failed", "stale")


class Assignment(msgspec.Struct, frozen=True):
    """Where the world is. In a file of mode 0600: it has a token."""

    nats_url: str
    buckets: list[str]
    kube_url: str
    ca_pem: str
    token: str
    kubeconfig: str
    namespace: str
    page_limit: int
    stale_after_s: float


class Answer(msgspec.Struct, frozen=True):
    """The last line on stdout. Times by CLOCK_MONOTONIC, which is one clock for all processes of a machine."""

    imported_at_s: float
    done_at_s: float
    cpu_s: float
    rss_max_bytes: int
    counts: dict[str, int]
    aggregates: dict[str, Aggregate] = {}


class Lap:
    """Made at the end of the imports; `finish` ends the measurement and tells the result."""

    def __init__(self) -> None:
        self._imported_at_s = time.monotonic()
        self._cpu_s = time.process_time()

    def finish(self, counts: dict[str, int], aggregates: dict[str, Aggregate] | None = None) -> None:
        done_at_s, cpu_s = time.monotonic(), time.process_time()
        answer = Answer(
            imported_at_s=self._imported_at_s,
            done_at_s=done_at_s,
            cpu_s=cpu_s - self._cpu_s,
            rss_max_bytes=usage_of(os.getpid()).rss_max_bytes,
            counts=counts,
            aggregates=aggregates or {},
        )
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def assignment() -> Assignment:
    """From the file that the only argument names."""
    return msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Assignment)
