"""The API server's part of the world: objects with uid, generation, version, finalizers; a log for watches."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from fleet.errors import Conflict, NotFound
from fleet.kube.objects import Deployment, Device

Json = Mapping[str, object]
Kubernetes = Deployment | Device
O = TypeVar("O", Deployment, Device)  # noqa: E741 - an object of either kind

DEPLOYMENTS, DEVICES = "deployments", "devices"


class Change(NamedTuple):
    """One line of a watch: the object as it is now, or None if it is gone; `readable` if it can be decoded."""

    name: str
    item: Kubernetes | None
    readable: bool


class KubeModel:
    """Objects, their history, and the ConfigMap of held sweeps. Every change calls `changed` after it took effect."""

    def __init__(self, changed: Callable[[str, str], None]) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.devices: dict[str, Device] = {}
        self.unreadable: set[tuple[str, str]] = set()
        self.logs: dict[str, list[Change]] = {DEPLOYMENTS: [], DEVICES: []}
        # A watch that began before this many changes gets 410.
        self.oldest: dict[str, int] = {DEPLOYMENTS: 0, DEVICES: 0}
        self.question: str = ""
        self.approved: str | None = None
        self._changed = changed
        self._version = 100
        self._uid = 0

    def of(self, kind: str) -> Mapping[str, Kubernetes]:
        return self.deployments if kind == DEPLOYMENTS else self.devices

    def next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def next_uid(self, kind: str) -> str:
        self._uid += 1
        return f"{kind[:3]}-{self._uid}"

    def store(self, kind: str, item: Kubernetes) -> str:
        """Create or replace, at a new version."""
        version = self.next_version()
        item = msgspec.structs.replace(item, resource_version=version)
        if isinstance(item, Deployment):
            self.deployments[item.name] = item
        else:
            self.devices[item.name] = item
        self._log(kind, item.name)
        return version

    def mark(self, kind: str, name: str, *, readable: bool) -> None:
        """Make an object such that the operator can (not) decode it."""
        (self.unreadable.discard if readable else self.unreadable.add)((kind, name))
        self.store(kind, self.of(kind)[name])

    def delete(self, kind: str, name: str) -> None:
        """As `kubectl delete`: with finalizers it only begins to go, which counts as a generation."""
        item = self.of(kind)[name]
        if not item.finalizers:
            self.remove(kind, name)
        elif not item.deleting:
            changes: dict[str, object] = {"deleting": True, "generation": item.generation + 1}
            if isinstance(item, Deployment):
                changes["wanted"] = b""
            self.store(kind, msgspec.structs.replace(item, **changes))

    def remove(self, kind: str, name: str) -> None:
        """Gone at once, whatever its finalizers say."""
        (self.deployments if kind == DEPLOYMENTS else self.devices).pop(name)
        self.unreadable.discard((kind, name))
        self._log(kind, name)

    def wipe(self, kind: str) -> None:
        """A restored backup: none is left, and no watch tells of it."""
        for name in list(self.of(kind)):
            (self.deployments if kind == DEPLOYMENTS else self.devices).pop(name)
            self.unreadable.discard((kind, name))
        self.logs[kind].append(Change("", None, readable=True))
        self.oldest[kind] = len(self.logs[kind])
        self._changed(kind, "")

    def set_finalizers(self, kind: str, name: str, version: str, finalizers: tuple[str, ...]) -> str:
        item = self.fenced(kind, name, version)
        if item.finalizers == finalizers:
            return version
        if item.deleting and not finalizers:
            self.remove(kind, name)
            return self.next_version()
        return self.store(kind, msgspec.structs.replace(item, finalizers=finalizers))

    def patch_status(self, name: str, patch: Json) -> str:
        """A merge patch of a Deployment's status; a version in it is a fence."""
        metadata = patch.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        item = self.fenced(DEPLOYMENTS, name, str(version) if version is not None else None)
        assert isinstance(item, Deployment)
        status = merged(item.status, patch["status"])
        assert isinstance(status, dict)
        if status == item.status:
            return item.resource_version
        return self.store(DEPLOYMENTS, msgspec.structs.replace(item, status=status))

    def fenced(self, kind: str, name: str, version: str | None) -> Kubernetes:
        item = self.of(kind).get(name)
        if item is None:
            raise NotFound(f"{kind}/{name} is not there")
        if version is not None and item.resource_version != version:
            raise Conflict(f"{kind}/{name} is at {item.resource_version}, not at {version}")
        return item

    def _log(self, kind: str, name: str) -> None:
        readable = (kind, name) not in self.unreadable
        self.logs[kind].append(Change(name, self.of(kind).get(name), readable))
        self._changed(kind, name)


def merged(old: object, patch: object) -> object:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
