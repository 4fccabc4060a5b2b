"""Begins the history of one case."""

import contextlib
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from harness.env.foundation import NEEDED
from harness.history import Meta, Recorder
from harness.history.log import FORMAT

HISTORY = "history.jsonl"


@contextlib.contextmanager
def recording(folder: Path, scenario: str, case: str, defect: str | None) -> Iterator[Recorder]:
    """A history in `folder`, begun with its meta record and closed at the end."""
    recorder = Recorder(folder / HISTORY)
    try:
        recorder.add(
            Meta(
                at_s=recorder.now_s,
                format=FORMAT,
                run_id=folder.parent.name,
                scenario=scenario,
                case=case,
                defect=defect,
                started_at=recorder.started_at,
                versions={
                    "fleetproof": metadata.version("fleetproof"),
                    "python": platform.python_version(),
                    **{tool.name: tool.version for tool in NEEDED},
                },
            )
        )
        yield recorder
    finally:
        recorder.close()
