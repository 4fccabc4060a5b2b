"""What a device says of one deployment: phase, container ids, the first failure, and when. Pure.

Running: the right container of every service runs, and its health check, if it has one, last passed. Failed: the last
attempt at some service failed. Else Pending. A report is made only when something of that, or the owner, changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet import rules
from fleet.agent.health import Health, Verdict
from fleet.agent.memory import STUCK_S
from fleet.agent.model import Container, ContainerState, Failure, Reason, ServiceSpec
from fleet.agent.reconcile import Scene
from fleet.agent.steps import right_container
from fleet.wire import DeviceState, Owner, Phase

_STEP = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One service as it is now. `up` is None while its health is not yet known."""

    name: str
    container_id: str | None
    up: bool | None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    phase: Phase
    container_ids: dict[str, str]
    last_error: str | None


def service_state(scene: Scene, spec: ServiceSpec, health: Health) -> ServiceState:
    """`health` is that of the right container; it counts only if the service has a check."""
    name, own = spec.service.name, scene.own
    right = right_container(spec, own)
    # One that never ran has done nothing yet that could be looked at.
    container_id = None if right is None or right.state is ContainerState.CREATED else right.id
    failure = _in_the_way(scene, own)
    if right is None or right.state is not ContainerState.RUNNING:
        raising = scene.memory.raising.at(spec.digest).failure
        return ServiceState(name, container_id, up=False, failure=raising or failure)
    if spec.service.health_check is not None and failure is None:
        if health.verdict is Verdict.UNKNOWN:
            return ServiceState(name, container_id, up=None)
        if health.verdict is Verdict.UNHEALTHY:
            failure = Failure(Reason.UNHEALTHY, health.words)
    return ServiceState(name, container_id, up=failure is None, failure=failure)


def summed_up(services: Sequence[ServiceState], last: DeviceState | None) -> Summary:
    """`services` in the order of the score.

    A container whose health is not yet known is as well as it last was: an agent that starts anew is no news.
    """
    ids = {each.name: each.container_id for each in services if each.container_id is not None}
    errors = [(each.name, each.failure) for each in services if each.failure is not None]
    if errors:
        name, failure = errors[0]
        return Summary(Phase.FAILED, ids, _line(f"{name}: {failure.reason}: {failure.words}"))
    was_up = set(last.container_ids.values()) if last is not None and last.phase is Phase.RUNNING else set()
    up = all(each.container_id in was_up if each.up is None else each.up for each in services)
    return Summary(Phase.RUNNING if up else Phase.PENDING, ids, None)


def refused(summary: Summary, reason: str) -> Summary:
    """A newer desired state cannot be understood; what is summed up goes on."""
    return Summary(Phase.FAILED, summary.container_ids, _line(f"{Reason.DESIRED_REFUSED}: {reason}"))


def away(last: DeviceState | None, owner: Owner, words: str) -> Summary:
    """The runtime does not answer: what was last known stays, and that is said. Of another owner nothing is known."""
    error = _line(f"{Reason.RUNTIME_AWAY}: {words}")
    if last is None:
        return Summary(Phase.PENDING, {}, error)
    phase = last.phase if last.owner == owner else Phase.PENDING
    return Summary(phase, dict(last.container_ids), error)


def next_report(last: DeviceState | None, owner: Owner, summary: Summary, now: datetime) -> DeviceState | None:
    """What to report, or None if that was said already.

    Its time is later than the last one's, whatever the clock says.
    """
    if last is not None:
        said = (last.phase, dict(last.container_ids), last.last_error, last.owner)
        if said == (summary.phase, summary.container_ids, summary.last_error, owner):
            return None
        now = max(now, _later(last.last_event_at))
    return DeviceState(summary.phase, now, owner, summary.container_ids, summary.last_error)


def _in_the_way(scene: Scene, own: Sequence[Container]) -> Failure | None:
    """A container that should have gone and may still run, or one that is neither running nor stopped for too long."""
    clearing, since_s = scene.memory.clearing, scene.memory.odd_since_s
    if any(c.active and c.id == clearing.what for c in own) and clearing.failure is not None:
        return clearing.failure
    odd = next((c for c in own if c.state is ContainerState.OTHER), None)
    if odd is not None and since_s is not None and scene.now_s - since_s >= STUCK_S:
        return Failure(
            Reason.STUCK, f"container {odd.name} neither runs nor has ended: unpause it, or remove it by hand"
        )
    return None


def _later(time: datetime) -> datetime:
    try:
        return time + _STEP
    except OverflowError:
        return time


def _line(text: str) -> str:
    """One line that fits and that every reader takes."""
    words = " ".join(text.encode(errors="replace").decode().split())
    return words[: rules.LAST_ERROR.len_max]
