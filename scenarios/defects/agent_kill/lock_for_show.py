"""The device lock is opened and signed, and never locked."""

import os
from pathlib import Path

from fleet.agent.lock import DeviceLock
from scenarios.defects.defect import Defect


async def _acquire(path: Path, *, version: str, **_: object) -> DeviceLock:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(descriptor, f"pid {os.getpid()}, version {version}\n".encode(), 0)
    return DeviceLock(descriptor)


def _patch() -> None:
    DeviceLock.acquire = _acquire  # type: ignore[method-assign] # the point of a defect


LOCK_FOR_SHOW = Defect(
    name="lock-for-show",
    shape="killed-mid-roll",
    case="standby-takes-over",
    check="one-agent-acts",
    story="The lock was a file with a process number in it. While an update started the new agent beside the old one, "
    "both rolled containers and both reported, each over the other.",
    patch=_patch,
    part="agent",
)
