"""When to act: at an event that the harness itself observed, never after some time.

    something is recorded -> Trigger sees it in the same turn of the loop -> the scenario acts

A trigger looks from the moment it is made; that it fired stands in the history, so a check can tell that the step was
reached. The k-th request to the API server is the gate's own (`Gate.hold`), which can stop it before it arrives.
"""

import asyncio
import re
from collections.abc import Callable

from fleet.wire import Bucket
from harness.errors import WaitTimeout
from harness.history import KvEntry, LinkEnd, Record, Recorder, Recovery, Request
from harness.history import Trigger as TriggerRecord
from harness.services.process import ManagedProcess, log_mark


class Trigger:
    """Fires at the `ordinal`-th record that `matches`, counted from now on. `close` ends one that is not awaited."""

    def __init__(self, recorder: Recorder, name: str, ordinal: int, matches: Callable[[Record], bool]) -> None:
        self.name = name
        self.ordinal = ordinal
        self.seen = 0
        self._recorder = recorder
        self._matches = matches
        self._fired = asyncio.Event()
        recorder.listeners.add(self._look)

    async def fired(self, deadline_s: float) -> None:
        """Returns in the turn of the loop in which it fired. Raises WaitTimeout with the count so far."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._fired.wait()
        except TimeoutError as e:
            raise WaitTimeout(f"{self.name}: {self.seen} of {self.ordinal} were seen in {deadline_s:g} s") from e
        finally:
            self.close()

    def close(self) -> None:
        """Look no more. Idempotent."""
        self._recorder.listeners.discard(self._look)

    def _look(self, record: Record) -> None:
        if not self._matches(record):
            return
        self.seen += 1
        if self.seen == self.ordinal:
            self.close()
            now_s = self._recorder.now_s
            self._recorder.add(TriggerRecord(at_s=now_s, name=self.name, ordinal=self.ordinal))
            self._fired.set()


def kv_write(recorder: Recorder, ordinal: int, bucket: Bucket = Bucket.DESIRED_STATE) -> Trigger:
    """After the `ordinal`-th value or marker stored in a witnessed bucket."""
    return Trigger(
        recorder, f"kv-write {bucket}", ordinal, lambda r: isinstance(r, KvEntry) and r.bucket == bucket.value
    )


def request_answered(recorder: Recorder, ordinal: int, verb: str, resource: str, subresource: str = "") -> Trigger:
    """After the API server's audit log showed the `ordinal`-th such request."""

    def matches(record: Record) -> bool:
        if not isinstance(record, Request):
            return False
        return (record.verb, record.resource, record.subresource) == (verb, resource, subresource)

    return Trigger(recorder, f"request {verb} {resource}/{subresource}".rstrip("/"), ordinal, matches)


def recovery_progress(recorder: Recorder, process: str, source: str, seen: int) -> Trigger:
    """As soon as /recovery of that operator says that it has seen so many of a source, or all of it."""

    def matches(record: Record) -> bool:
        if not isinstance(record, Recovery) or record.process != process:
            return False
        progress = record.sources.get(source)
        return progress is not None and (progress.seen >= seen or progress.current)

    return Trigger(recorder, f"recovery {source} at {seen}", 1, matches)


def source_lost(recorder: Recorder, process: str, source: str) -> Trigger:
    """As soon as /recovery of that operator says why a source is not current."""

    def matches(record: Record) -> bool:
        if not isinstance(record, Recovery) or record.process != process:
            return False
        progress = record.sources.get(source)
        return progress is not None and not progress.current and progress.trouble is not None

    return Trigger(recorder, f"recovery {source} lost", 1, matches)


def link_ended(recorder: Recorder, link: str, ordinal: int = 1, *, carried_bytes: int | None = None) -> Trigger:
    """After the `ordinal`-th connection of a link was ended on its server's side, after so many bytes if given."""

    def matches(record: Record) -> bool:
        if not isinstance(record, LinkEnd) or (record.link, record.by) != (link, "server"):
            return False
        return carried_bytes in (None, record.carried_bytes)

    return Trigger(recorder, f"end of {link}", ordinal, matches)


async def log_said(recorder: Recorder, process: ManagedProcess, pattern: str, deadline_s: float) -> re.Match[str]:
    """Wait until a process writes a line that matches, from now on. Raises WaitTimeout; ServiceError if it exits."""
    found = await process.wait_log(pattern, since=log_mark(process.log_path), deadline_s=deadline_s)
    recorder.add(TriggerRecord(at_s=recorder.now_s, name=f"log {process.name}", ordinal=1, detail=found[0]))
    return found
