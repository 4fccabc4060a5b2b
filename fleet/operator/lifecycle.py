"""What to do to the objects themselves: finalizers, registration, and forgetting a device. Pure.

A finalizer keeps a deleted object in sight until its keys are gone, however long no operator was there to delete them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.operator.state import FleetState
from fleet.wire import Bucket, DeploymentName, DeviceId, heartbeat_key, info_key, state_key

FINALIZER = "fleet.fleetproof.dev/keys"


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    """Patch an object's finalizers, fenced by the version that this was decided against."""

    resource: str
    name: str
    resource_version: str
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """Make the Device of a device that has introduced itself. Its info is read afresh first."""

    device: DeviceId
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete what a device has published: (bucket, key) of each."""

    device: DeviceId
    entries: tuple[tuple[Bucket, str], ...]


def decide_deployment(state: FleetState, name: DeploymentName) -> SetFinalizers | None:
    deployment = state.deployments.get(name)
    if deployment is None:
        return None
    others = tuple(f for f in deployment.finalizers if f != FINALIZER)
    held = len(others) < len(deployment.finalizers)
    if deployment.deleting:
        if not held or state.unwanted.of_deployment[name]:
            return None
        return SetFinalizers("deployments", name, deployment.resource_version, others)
    if held:
        return None
    return SetFinalizers("deployments", name, deployment.resource_version, (*others, FINALIZER))


def decide_device(state: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
    device = state.devices.get(name)
    if device is None:
        labels = state.infos.get(name)
        if labels is None or name in state.unreadable_devices:
            return None
        return Register(name, labels)
    others = tuple(f for f in device.finalizers if f != FINALIZER)
    held = len(others) < len(device.finalizers)
    if not device.deleting:
        return None if held else SetFinalizers("devices", name, device.resource_version, (*others, FINALIZER))
    if not held or state.unwanted.of_device[name]:
        return None
    reported = state.reported(name)
    if name in state.infos or reported:
        # The beat goes first, for it is not waited for: a live device beats again before we look. The introduction goes
        # last, so that whatever stops us half-way, all of it is done again.
        entries = [(Bucket.DEVICE_HEARTBEAT, heartbeat_key(name))]
        entries += [(Bucket.DEVICE_STATE, state_key(pair)) for pair in reported]
        entries.append((Bucket.DEVICE_INFO, info_key(name)))
        return Forget(name, tuple(entries))
    return SetFinalizers("devices", name, device.resource_version, others)
