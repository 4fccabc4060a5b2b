"""Which Deployment selects which Device, by an index of labels: a change costs what it concerns. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from fleet.kube.objects import Deployment, Device
from fleet.wire import DeploymentName, DeviceId

Label = tuple[str, str]
N = TypeVar("N", DeviceId, DeploymentName)


def eligible(device: Device) -> bool:
    return not device.blocked and not device.deleting


def selects(deployment: Deployment, device: Device) -> bool:
    """Whether `deployment` is to run on `device`: every selected label is there, with that value."""
    return not deployment.deleting and eligible(device) and deployment.selector.items() <= device.labels.items()


class Matcher:
    """Both directions of `selects`, for the Deployments and Devices that were put in."""

    def __init__(self) -> None:
        self._devices: dict[DeviceId, Mapping[str, str]] = {}
        self._selectors: dict[DeploymentName, Mapping[str, str]] = {}
        self._devices_by_label: defaultdict[Label, set[DeviceId]] = defaultdict(set)
        # Each Deployment stands under one label of its selector: a device that lacks it is not selected.
        self._deployments_by_label: defaultdict[Label, set[DeploymentName]] = defaultdict(set)

    def put_device(self, device: Device) -> None:
        if device.name in self._devices:
            self.drop_device(device.name)
        if eligible(device):
            self._devices[device.name] = device.labels
            for label in device.labels.items():
                self._devices_by_label[label].add(device.name)

    def drop_device(self, name: DeviceId) -> None:
        for label in self._devices.pop(name, {}).items():
            _discard(self._devices_by_label, label, name)

    def put_deployment(self, deployment: Deployment) -> None:
        self.drop_deployment(deployment.name)
        if not deployment.deleting:
            self._selectors[deployment.name] = deployment.selector
            self._deployments_by_label[_indexed(deployment.selector)].add(deployment.name)

    def drop_deployment(self, name: DeploymentName) -> None:
        selector = self._selectors.pop(name, None)
        if selector is not None:
            _discard(self._deployments_by_label, _indexed(selector), name)

    def devices_of(self, name: DeploymentName) -> set[DeviceId]:
        """The devices that a Deployment selects."""
        selector = self._selectors.get(name)
        if selector is None:
            return set()
        nobody: set[DeviceId] = set()
        first, *others = sorted((self._devices_by_label.get(label, nobody) for label in selector.items()), key=len)
        return first.intersection(*others)

    def deployments_of(self, device: DeviceId) -> set[DeploymentName]:
        """The Deployments that select a device."""
        labels = self._devices.get(device)
        if labels is None:
            return set()
        return {name for name in self._candidates(labels) if self._selectors[name].items() <= labels.items()}

    def _candidates(self, labels: Mapping[str, str]) -> Iterable[DeploymentName]:
        for label in labels.items():
            yield from self._deployments_by_label.get(label, ())


def _indexed(selector: Mapping[str, str]) -> Label:
    return min(selector.items())


def _discard(index: defaultdict[Label, set[N]], key: Label, value: N) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]
