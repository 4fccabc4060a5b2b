"""Small values of everything the operator thinks in, so that a test states only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from fleet.kube.objects import Deployment, Device
from fleet.operator.decoding import Report
from fleet.operator.desired_keys import Cell
from fleet.operator.lifecycle import FINALIZER
from fleet.operator.state import FleetState
from fleet.operator.tally import Standing
from fleet.wire import (
    DeploymentName,
    DesiredState,
    DeviceId,
    DeviceState,
    Owner,
    Pair,
    Phase,
    Score,
    Service,
    deployment_name,
    device_id,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_S = 90.0
D1, D2 = device_id("d1"), device_id("d2")
WEB, DB = deployment_name("web"), deployment_name("db")
ONE_PENDING = {Standing.PENDING: 1}
ONE_SUCCEEDED = {Standing.SUCCEEDED: 1}
ONE_FAILED = {Standing.FAILED: 1}
ONE_STALE = {Standing.STALE: 1}


def pair(device: str = "d1", deployment: str = "web") -> Pair:
    return Pair(device_id(device), deployment_name(deployment))


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def score(image: str = "web:1") -> Score:
    return Score((Service(name="web", image=image),))


def owner(uid: str = "web-uid", generation: int = 1) -> Owner:
    return Owner(uid, generation)


def fleet_state(*beating: DeviceId) -> FleetState:
    """Return an empty state; the devices that are `beating` did so at second 0 of the broker's clock, which is ours."""
    state = FleetState(LIMIT_S)
    state.liveness.opened(created_s=0.0, broker_now_s=0.0, now_s=0.0)
    state.liveness.connected(0.0)
    for name in beating or (D1,):
        state.beat(name, 0.0)
    return state


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
    finalizers: tuple[str, ...] = (FINALIZER,),
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
        finalizers=finalizers,
    )


def device(
    name: str = "d1",
    *,
    uid: str | None = None,
    version: str = "1",
    blocked: bool = False,
    deleting: bool = False,
    labels: Mapping[str, str] | None = None,
    finalizers: tuple[str, ...] = (FINALIZER,),
) -> Device:
    return Device(
        name=device_id(name),
        uid=uid or f"{name}-uid",
        resource_version=version,
        deleting=deleting,
        blocked=blocked,
        labels={"group": "all"} if labels is None else labels,
        finalizers=finalizers,
    )


@cache
def desired(uid: str = "web-uid", generation: int = 1, image: str = "web:1") -> DesiredState:
    """Equal values are one object, as the operator's decoder gives them."""
    return DesiredState(owner(uid, generation), score(image))


def cell(revision: int = 7, *, uid: str = "web-uid", generation: int = 1, image: str = "web:1") -> Cell:
    return Cell(revision, desired(uid, generation, image), deleted=False)


def marker(revision: int = 7) -> Cell:
    return Cell(revision, None, deleted=True)


def malformed(revision: int = 7) -> Cell:
    return Cell(revision, None, deleted=False)


def report(
    phase: Phase = Phase.RUNNING,
    *,
    seconds: float = 0,
    uid: str = "web-uid",
    generation: int = 1,
    error: str | None = None,
) -> Report:
    return Report(phase, at(seconds), uid, generation, error)


def report_bytes(report: Report) -> bytes:
    """Return what a device sends to say this."""
    return DeviceState(
        phase=report.phase,
        last_event_at=report.last_event_at,
        owner=Owner(report.uid, report.generation),
        last_error=report.last_error,
    ).encode()


def counts(state: FleetState, name: DeploymentName = WEB) -> dict[Standing, int]:
    """How many pairs of a Deployment stand how, without zeros."""
    return {standing: count for standing, count in state.standings.tallies[name].counts.items() if count}


def clean(state: FleetState) -> None:
    """Forget what is to be looked at."""
    for dirty in (state.dirty_pairs, state.dirty_status, state.dirty_deployments, state.dirty_devices):
        dirty.clear()
