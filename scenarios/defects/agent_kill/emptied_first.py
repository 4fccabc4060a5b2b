"""A file is emptied before its new content is written beside it."""

from pathlib import Path

from fleet.agent import store
from fleet.artifact import write_bytes
from scenarios.defects.defect import Defect


def _emptied_first(target: Path, data: bytes, *, mode: int = 0o644) -> None:
    if target.exists():
        target.write_bytes(b"")
    write_bytes(target, data, mode=mode)


def _patch() -> None:
    store.write_bytes = _emptied_first  # type: ignore[attr-defined] # the name that it imported, not the function


EMPTIED_FIRST = Defect(
    name="emptied-first",
    shape="killed-mid-roll",
    case="order-half-written",
    check="kept-running",
    story="On a disk without room for two copies the old desired state was emptied first. An agent that died in the "
    "middle of an update knew nothing of the deployment any more, and when a container ended, nobody started it.",
    patch=_patch,
    part="agent",
)
