"""Small values of everything the operator thinks in, so that a test states only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fleet.kube.objects import Deployment, Device
from fleet.operator.state import Cell
from fleet.wire import DesiredState, DeviceState, Owner, Pair, Phase, Score, Service, deployment_name, device_id

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def pair(device: str = "d1", deployment: str = "web") -> Pair:
    return Pair(device_id(device), deployment_name(deployment))


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def score(image: str = "web:1") -> Score:
    return Score((Service(name="web", image=image),))


def owner(uid: str = "web-uid", generation: int = 1) -> Owner:
    return Owner(uid, generation)


def deployment(
    name: str = "web",
    *,
    uid: str | None = None,
    generation: int = 1,
    version: str = "10",
    deleting: bool = False,
    selector: Mapping[str, str] | None = None,
    image: str = "web:1",
    status: Mapping[str, object] | None = None,
) -> Deployment:
    return Deployment(
        name=deployment_name(name),
        uid=uid or f"{name}-uid",
        generation=generation,
        resource_version=version,
        deleting=deleting,
        selector=selector or {"group": "all"},
        score=score(image),
        status=status or {},
    )


def device(
    name: str = "d1", *, blocked: bool = False, deleting: bool = False, labels: Mapping[str, str] | None = None
) -> Device:
    return Device(
        name=device_id(name),
        resource_version="1",
        deleting=deleting,
        blocked=blocked,
        labels={"group": "all"} if labels is None else labels,
    )


def cell(revision: int = 7, *, uid: str = "web-uid", generation: int = 1, image: str = "web:1") -> Cell:
    return Cell(revision, DesiredState(owner(uid, generation), score(image)), deleted=False)


def marker(revision: int = 7) -> Cell:
    return Cell(revision, None, deleted=True)


def report(
    phase: Phase = Phase.RUNNING,
    *,
    seconds: float = 0,
    uid: str = "web-uid",
    generation: int = 1,
    error: str | None = None,
) -> DeviceState:
    return DeviceState(phase=phase, last_event_at=at(seconds), owner=owner(uid, generation), last_error=error)
