"""The steps of `fleet.operator.object_writer`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet.errors import Conflict, NotFound, PeerError
from fleet.kube.objects import Device
from fleet.operator.lifecycle import FINALIZER, Forget, Register, SetFinalizers, decide_deployment, decide_device
from fleet.operator.tests.sim.broker import BucketModel, Message
from fleet.operator.tests.sim.feeds import Reached
from fleet.operator.tests.sim.kube import DEPLOYMENTS, DEVICES
from fleet.operator.tests.sim.tasks import Steps, together
from fleet.wire import Bucket, DeploymentName, DeviceId, info_key

if TYPE_CHECKING:
    from fleet.operator.tests.sim.process import Process

_RETRY_S = 2.0

Step = SetFinalizers | Register | Forget


class ObjectWriter:
    """Finalizers, registration, forgetting."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._state = process.state
        self._awake = False

    def wake(self) -> None:
        self._awake = True

    def run(self) -> Steps[None]:
        while True:
            yield lambda: self._awake
            self._awake = False
            if self._process.recovery.converged:
                yield from self._round()

    def _round(self) -> Steps[None]:
        state = self._state
        deployments, state.dirty_deployments = state.dirty_deployments, set()
        devices: set[DeviceId] = set()
        if self._process.recovery.sources[Bucket.DEVICE_INFO.value].current:
            devices, state.dirty_devices = state.dirty_devices, set()
        epoch, reached = self._process.epoch, self._process.reached()
        decided = [decide_deployment(state, name) for name in sorted(deployments)]
        steps: list[Step] = [step for step in decided if step is not None]
        steps += [step for device in sorted(devices) if (step := decide_device(state, device)) is not None]
        yield from together(self._process.chance, [self._do(step, epoch, reached) for step in steps])

    def _do(self, step: Step, epoch: int, reached: tuple[Reached, ...]) -> Steps[bool]:
        try:
            match step:
                case SetFinalizers():
                    yield from self.set_finalizers(step, epoch, reached)
                case Register():
                    yield from self.register(step, epoch)
                case Forget():
                    yield from self.forget(step, epoch)
        except PeerError:
            self._process.later(_RETRY_S, lambda: self._again(step))
            return False
        return True

    def holds(self, step: Step, epoch: int) -> bool:
        """Asked right before each write; what may not be written now is decided again."""
        self._process.check()
        if self._process.recovery.converged and epoch == self._process.epoch:
            return True
        self._again(step)
        return False

    def version(self, step: SetFinalizers) -> str | None:
        return step.resource_version

    def set_finalizers(self, step: SetFinalizers, epoch: int, reached: tuple[Reached, ...]) -> Steps[None]:
        if not self.holds(step, epoch):
            return
        around, who, version = self._process.around, self._process.name, self.version(step)

        def act() -> str:
            item = around.kube.fenced(step.resource, step.name, version)
            around.judge.sets_finalizers(who, step.resource, step.name, version, step.finalizers)
            if FINALIZER in item.finalizers and FINALIZER not in step.finalizers:
                around.story.tell("{} lets {} go", who, step.name)
                desired = around.buckets[Bucket.DESIRED_STATE].messages.values()
                around.judge.lets_go(who, step.resource, step.name, desired, reached[0])
                if step.resource == DEVICES:
                    around.judge.leaves_nothing(who, step.name, around.buckets, reached)
            return around.kube.set_finalizers(step.resource, step.name, item.resource_version, step.finalizers)

        self._process.sends(epoch)
        try:
            yield from self._process.ask_kube(act)
        except NotFound:
            return

    def register(self, step: Register, epoch: int) -> Steps[None]:
        around, who = self._process.around, self._process.name
        infos = around.buckets[Bucket.DEVICE_INFO]
        labels = yield from self._process.ask_nats(lambda: infos.live(info_key(step.device)))
        if not isinstance(labels, dict) or not self.holds(step, epoch):
            return

        def act() -> None:
            if step.device not in around.kube.devices:
                device = Device(
                    name=step.device,
                    resource_version="",
                    deleting=False,
                    blocked=False,
                    labels=self.labels(step, labels),
                    uid=around.kube.next_uid(DEVICES),
                    finalizers=(FINALIZER,),
                )
                around.story.tell("{} registers {}", who, step.device)
                around.judge.registers(who, device, labels)
                around.kube.store(DEVICES, device)

        self._process.sends(epoch)
        yield from self._process.ask_kube(act)
        if not self.was_seen(step.device):
            self._process.later(_RETRY_S, lambda: self._again(step))

    def was_seen(self, name: DeviceId) -> bool:
        """Whether the informer will tell us that the Device is gone."""
        return name in self._state.devices

    def labels(self, step: Register, read: dict[str, str]) -> dict[str, str]:  # noqa: ARG002 - a mutant's choice
        return read

    def forget(self, step: Forget, epoch: int) -> Steps[None]:
        messages: list[tuple[BucketModel, Message]] = []
        for bucket, key in step.entries:
            target = self._process.around.buckets[bucket]
            message = yield from self._process.ask_nats(_reading(target, key))
            if message is not None and message.value is not None:
                messages.append((target, message))
        if (yield from self.is_going(step.device)):
            for target, message in messages:
                if not self.holds(step, epoch):
                    return
                self._process.sends(epoch)
                yield from self._process.ask_nats(self._deleting(target, message))

    def is_going(self, name: DeviceId) -> Steps[bool]:
        """Whether the Device, read afresh, is still being deleted and waits for us: another may be in its place."""
        devices = self._process.around.kube.devices
        device = yield from self._process.ask_kube(lambda: devices.get(name))
        return device is not None and device.deleting and FINALIZER in device.finalizers

    def _deleting(self, target: BucketModel, message: Message) -> Callable[[], None]:
        around, who = self._process.around, self._process.name

        def act() -> None:
            if target.revision(message.key) != message.revision:
                raise Conflict(message.key)
            around.story.tell("{} forgets {}", who, message.key)
            around.judge.deletes_published(who, target.bucket, message.key, message.revision)
            target.store(message.key, None, message.revision)

        return act

    def _again(self, step: Step) -> None:
        match step:
            case SetFinalizers(resource=kind, name=name) if kind == DEPLOYMENTS:
                self._state.dirty_deployments.add(DeploymentName(name))
            case SetFinalizers(name=name):
                self._state.dirty_devices.add(DeviceId(name))
            case _:
                self._state.dirty_devices.add(step.device)
        self._awake = True


def _reading(target: BucketModel, key: str) -> Callable[[], Message | None]:
    return lambda: target.messages.get(key)
