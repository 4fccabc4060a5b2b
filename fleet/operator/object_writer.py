"""Keeps the objects themselves in order: finalizers, registration, and forgetting of devices."""

import asyncio

from fleet.bus import reads, writes
from fleet.crds import API_VERSION, DEVICE
from fleet.errors import Conflict, NotFound, PeerError, WireError
from fleet.kube.objects import decode_device
from fleet.logs import get_logger
from fleet.operator.bounded import bounded
from fleet.operator.decoding import decode_labels
from fleet.operator.lifecycle import (
    FINALIZER,
    Forget,
    Register,
    SetFinalizers,
    decide_deployment,
    decide_device,
)
from fleet.operator.parts import Parts
from fleet.wire import Bucket, DeploymentName, DeviceId, info_key

_AT_ONCE_MAX = 8
_RETRY_S = 2.0

Name = DeploymentName | DeviceId
Step = SetFinalizers | Register | Forget


class ObjectWriter:
    """`wake` it when objects or their keys changed. What could not be done is tried again a little later."""

    def __init__(self, parts: Parts) -> None:
        self._state = parts.state
        self._recovery = parts.recovery
        self._standstill = parts.standstill
        self._js = parts.js
        self._kube = parts.kube
        self._metrics = parts.metrics
        self._announcer = parts.announcer
        self._wake = asyncio.Event()
        self._stopping = False
        self._log = get_logger("objects")

    def wake(self) -> None:
        self._wake.set()

    def finish(self) -> None:
        """Begin nothing any more. What is under way is safe to cut off: each step can be repeated."""
        self._stopping = True

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._recovery.converged and not self._stopping:
                await self._round()

    async def _round(self) -> None:
        epoch = self._standstill.epoch
        deployments, self._state.dirty_deployments = self._state.dirty_deployments, set()
        devices: set[DeviceId] = set()
        if self._recovery.sources[Bucket.DEVICE_INFO.value].current:
            # Until then nobody knows who has introduced itself; the marks wait.
            devices, self._state.dirty_devices = self._state.dirty_devices, set()
        steps: list[Step | None] = [decide_deployment(self._state, name) for name in deployments]
        steps += [decide_device(self._state, device) for device in devices]
        await bounded(_AT_ONCE_MAX, [step for step in steps if step is not None], lambda step: self._do(step, epoch))

    async def _do(self, step: Step, epoch: int) -> bool:
        """Take a step, if it still holds. True if it was taken to its end."""
        try:
            done = await self._take(step, epoch)
        except Conflict:
            # The news that the object changed marks it again; should it have come already, this does.
            self._later(step)
            return False
        except PeerError as e:
            self._metrics.objects.labels(type(step).__name__, "failed").inc()
            self._log.warning("object_write_failed", step=type(step).__name__, name=_name(step), reason=str(e))
            self._later(step)
            return False
        if not done:
            # What is true now is decided once everything is current again.
            self._again(step)
            return False
        self._metrics.objects.labels(type(step).__name__, "done").inc()
        return True

    async def _take(self, step: Step, epoch: int) -> bool:
        match step:
            case SetFinalizers():
                return await self._set_finalizers(step, epoch)
            case Register():
                return await self._register(step, epoch)
            case _:
                return await self._forget(step, epoch)

    def _may_write(self, epoch: int) -> bool:
        """To be asked right before each write: whether what was decided in `epoch` still holds."""
        self._standstill.check()
        return self._recovery.converged and not self._stopping and epoch == self._standstill.epoch

    async def _set_finalizers(self, step: SetFinalizers, epoch: int) -> bool:
        if not self._may_write(epoch):
            return False
        patch = {"metadata": {"resourceVersion": step.resource_version, "finalizers": list(step.finalizers)}}
        try:
            await self._kube.patch(step.resource, step.name, patch)
        except NotFound:
            # The informer is about to say so.
            return True
        self._log.info("finalizers_set", resource=step.resource, name=step.name, held=FINALIZER in step.finalizers)
        return True

    async def _register(self, step: Register, epoch: int) -> bool:
        info = await reads.get(self._js, Bucket.DEVICE_INFO, info_key(step.device))
        if info is None or info.value is None:
            # It was forgotten, and the news of that is on its way.
            return True
        if not self._may_write(epoch):
            return False
        try:
            labels = decode_labels(info.value)
        except WireError:
            # What cannot be understood changes nothing: the labels that were known stay.
            labels = step.labels
        body = {
            "apiVersion": API_VERSION,
            "kind": DEVICE.kind,
            "metadata": {"name": step.device, "finalizers": [FINALIZER]},
            "spec": {"labels": dict(labels)},
        }
        if await self._kube.create("devices", body):
            self._log.info("device_registered", device=step.device)
            self._announcer.device_registered(step.device)
        if step.device not in self._state.devices:
            # Should it go again before the informer has seen it, nobody would tell us that it is gone.
            self._later(step)
        return True

    async def _forget(self, step: Forget, epoch: int) -> bool:
        found: list[tuple[Bucket, str, int]] = []
        for bucket, key in step.entries:
            entry = await reads.get(self._js, bucket, key)
            if entry is not None and entry.value is not None:
                found.append((bucket, key, entry.revision))
        if not await self._is_going(step.device):
            # The informer is about to say so.
            return True
        for bucket, key, revision in found:
            if not self._may_write(epoch):
                return False
            await writes.delete(self._js, bucket, key, expected=revision)
        self._log.info("device_forgotten", device=step.device, entries=len(found))
        return True

    async def _is_going(self, name: DeviceId) -> bool:
        """Whether the Device, read afresh, is still being deleted and waits for us: another may be in its place."""
        raw = await self._kube.get("devices", name)
        try:
            device = None if raw is None else decode_device(raw)
        except WireError:
            # It is there, and nobody knows what it says.
            return False
        if device is None or not device.deleting or FINALIZER not in device.finalizers:
            return False
        # Nobody asked for this device to go if all of them go with their definition.
        return not await self._kube.definitions_going()

    def _later(self, step: Step) -> None:
        asyncio.get_running_loop().call_later(_RETRY_S, self._again, step)

    def _again(self, step: Step) -> None:
        match step:
            case SetFinalizers(resource="deployments"):
                self._state.dirty_deployments.add(DeploymentName(step.name))
            case _:
                self._state.dirty_devices.add(DeviceId(_name(step)))
        self.wake()


def _name(step: Step) -> str:
    return step.name if isinstance(step, SetFinalizers) else step.device
