"""A little model of podman: containers with states, ports that only one can hold, images that may be missing.

What a container does is told by its command: `("crash",)` ends at once, `("refuse",)` cannot be started, `("deaf",)`
ignores its stop signal until the grace is over; an empty one runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fleet.agent.model import Container, ContainerState, HostPort, Reason, ServiceSpec, Slot, container_name
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.wire import DeploymentName, DeviceId, Lifecycle, Port, Service, deployment_name, device_id

DEVICE: DeviceId = device_id("edge-1")
WEB: DeploymentName = deployment_name("web")
BAD_VOLUME = "/not/there"
QUICK_S = 0.1


@dataclass(slots=True)
class Box:
    """One container: what is listed of it, and what it was made of."""

    listed: Container
    spec: ServiceSpec


class FakePodman:
    """No call takes time, and `stop` is called when it ends; how long things take is the caller's business."""

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {}
        self.missing_images: set[str] = set()
        self.strangers: set[HostPort] = set()
        """Ports that somebody else on the machine holds."""
        self.away = False
        self.healed = False
        """Whatever crashed or refused now runs."""
        self.events: list[tuple[str, str]] = []
        self.told: Callable[[], None] = lambda: None
        """Called after each event."""
        self._made = 0

    def containers(self) -> list[Container]:
        self._answers()
        return [box.listed for box in self.boxes.values()]

    def prepare(self, spec: ServiceSpec) -> None:
        self._answers()
        if spec.service.image in self.missing_images:
            raise RuntimeTrouble(Reason.IMAGE_MISSING, f"{spec.service.image}: not known")

    def create(self, spec: ServiceSpec) -> str:
        self.prepare(spec)
        name = container_name(DEVICE, spec)
        for box in self.boxes.values():
            if box.listed.name == name:
                return box.listed.id
        if any(volume.source == BAD_VOLUME for volume in spec.service.volumes):
            raise RuntimeTrouble(Reason.CREATE_FAILED, f"{BAD_VOLUME}: no such folder")
        self._made += 1
        id_ = f"c{self._made:03}"
        listed = Container(id_, name, spec.slot, spec.digest, ContainerState.CREATED, host_ports=spec.host_ports)
        self.boxes[id_] = Box(listed, spec)
        self._event("create", id_)
        return id_

    def start(self, id_: str) -> None:
        box = self._box(id_, Reason.START_FAILED)
        if box.listed.state is ContainerState.RUNNING:
            return
        behaviour = "" if self.healed else "".join(box.spec.service.command)
        if behaviour == "refuse":
            raise RuntimeTrouble(Reason.START_FAILED, "exec format error")
        if taken := self.taken(box.listed.host_ports):
            raise RuntimeTrouble(Reason.PORT_TAKEN, f"port {taken[0][0]}/{taken[0][1]} is in use")
        self._set(id_, ContainerState.RUNNING)
        self._event("start", id_)
        if behaviour == "crash":
            self.end(id_, 1)

    def stop(self, id_: str) -> None:
        if self._box(id_, Reason.STOP_FAILED).listed.active:
            self.end(id_, 0)

    def stop_takes_s(self, id_: str) -> float:
        box = self._box(id_, Reason.STOP_FAILED)
        return float(box.spec.lifecycle.grace_period_secs) if box.spec.service.command == ("deaf",) else QUICK_S

    def remove(self, id_: str) -> None:
        self._answers()
        box = self.boxes.get(id_)
        if box is None:
            return
        if box.listed.active:
            raise RuntimeTrouble(Reason.STOP_FAILED, f"{id_} runs")
        del self.boxes[id_]
        self._event("remove", id_)

    def taken(self, ports: Sequence[HostPort] | frozenset[HostPort]) -> list[HostPort]:
        """Which of these could not be bound now."""
        held = set(self.strangers).union(*(b.listed.host_ports for b in self.boxes.values() if b.listed.active))
        return sorted(held.intersection(ports))

    def end(self, id_: str, code: int) -> None:
        """The container's process ends, of itself or not."""
        self._set(id_, ContainerState.EXITED, code)
        self._event("end", id_)

    def put(self, id_: str, state: ContainerState) -> None:
        """Somebody pauses it, or lets it go on."""
        self._set(id_, state)
        self._event(state.value, id_)

    def running(self, slot: Slot) -> list[Container]:
        return [b.listed for b in self.boxes.values() if b.listed.slot == slot and b.listed.active]

    def _answers(self) -> None:
        if self.away:
            raise RuntimeAway("podman does not answer")

    def _box(self, id_: str, reason: Reason) -> Box:
        self._answers()
        if id_ not in self.boxes:
            raise RuntimeTrouble(reason, f"no container {id_}")
        return self.boxes[id_]

    def _set(self, id_: str, state: ContainerState, code: int | None = None) -> None:
        box = self.boxes[id_]
        box.listed = replace(box.listed, state=state, exit_code=code if code is not None else box.listed.exit_code)

    def _event(self, what: str, id_: str) -> None:
        self.events.append((what, id_))
        self.told()


def service(name: str, image: str, *, does: str = "", ports: Sequence[int] = ()) -> Service:
    command = (does,) if does else ()
    return Service(name, image, command, ports=tuple(Port(8000 + port, port) for port in ports))


LIFECYCLE = Lifecycle(grace_period_secs=10)
