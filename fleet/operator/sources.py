"""Folds what informers and replicas bring into the state, and keeps the recovery's books.

Keys and values are parsed here, at the edge. What cannot be parsed is counted, logged once per key and left alone; one
bad entry poisons nothing.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from fleet.bus.replica import Entry
from fleet.errors import WireError
from fleet.kube.objects import Deployment, Device
from fleet.logs import get_logger
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import Cell, FleetState
from fleet.wire import (
    Bucket,
    DeploymentName,
    Pair,
    decode_desired_state,
    decode_device_state,
    deployment_name,
    device_id,
    parse_desired_key,
    parse_state_key,
)

DEPLOYMENTS = "deployments"
DEVICES = "devices"
DESIRED_STATE = Bucket.DESIRED_STATE.value
DEVICE_STATE = Bucket.DEVICE_STATE.value
SOURCES = (DEPLOYMENTS, DEVICES, DESIRED_STATE, DEVICE_STATE)

T = TypeVar("T")
K_contra = TypeVar("K_contra", contravariant=True)


class Listener(Protocol[K_contra]):
    """A writer that waits for the echo of what it wrote."""

    def heard(self, key: K_contra) -> None: ...
    def restarted(self) -> None: ...


class Books:
    """What every source does alike: recovery progress, the wake-up of writers, and complaints."""

    def __init__(self, recovery: Recovery, metrics: Metrics, wake: Callable[[], None]) -> None:
        self.recovery = recovery
        self.metrics = metrics
        self.wake = wake
        self._log = get_logger("sources")
        self._complained: set[tuple[str, str]] = set()

    def replay_started(self, source: str) -> None:
        self.recovery.started(source)
        self._log.info("replay_started", source=source)

    def replayed(self, source: str) -> None:
        was_current = self.recovery.sources[source].current
        was_converged = self.recovery.converged
        self.recovery.current(source)
        if not was_current:
            self._log.info("source_current", source=source, seen=self.recovery.sources[source].seen)
        if self.recovery.converged and not was_converged:
            self._log.info("converged")
        self.wake()

    def lost(self, source: str, reason: str) -> None:
        self.recovery.lost(source, reason)
        self._log.warning("source_lost", source=source, reason=reason)

    def malformed(self, source: str, key: str, reason: str) -> None:
        self.metrics.malformed.labels(source).inc()
        if (source, key) not in self._complained:
            self._complained.add((source, key))
            self._log.warning("malformed", source=source, key=key, reason=reason)


class _Source:
    """The part of a sink that is the same for informers and replicas."""

    def __init__(self, name: str, books: Books, restarted: Callable[[], None] | None = None) -> None:
        self.name = name
        self.books = books
        self._restarted = restarted

    def replay_started(self) -> None:
        self.books.replay_started(self.name)
        if self._restarted is not None:
            self._restarted()

    def expecting(self, count: int) -> None:
        self.books.recovery.expecting(self.name, count)

    def replayed(self) -> None:
        self.books.replayed(self.name)

    def lost(self, reason: str) -> None:
        self.books.lost(self.name, reason)


class ResourceSource(_Source, Generic[T]):
    """An informer's sink."""

    def __init__(
        self,
        name: str,
        books: Books,
        *,
        upsert: Callable[[T], None],
        remove: Callable[[str], None],
        restarted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, books, restarted)
        self._upsert = upsert
        self._remove = remove

    def upsert(self, item: T) -> None:
        self.books.recovery.saw(self.name)
        self._upsert(item)
        self.books.wake()

    def removed(self, name: str) -> None:
        self._remove(name)
        self.books.wake()

    def malformed(self, name: str, reason: str) -> None:
        """What we knew of it stays: an object that we cannot read was not deleted."""
        self.books.recovery.saw(self.name)
        self.books.malformed(self.name, name, reason)


class BucketSource(_Source):
    """A replica's sink: parses key and value, then hands them to `fold`."""

    def __init__(
        self,
        name: str,
        books: Books,
        *,
        parse_key: Callable[[str], Pair],
        fold: Callable[[Pair, Entry], str | None],
        restarted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, books, restarted)
        self._parse_key = parse_key
        self._fold = fold

    def entry(self, entry: Entry) -> None:
        self.books.recovery.saw(self.name)
        try:
            pair = self._parse_key(entry.key)
        except WireError as e:
            self.books.malformed(self.name, entry.key, str(e))
            return
        complaint = self._fold(pair, entry)
        if complaint is not None:
            self.books.malformed(self.name, entry.key, complaint)
        self.books.wake()


def deployments_source(
    state: FleetState, books: Books, listener: Listener[DeploymentName]
) -> ResourceSource[Deployment]:
    def upsert(deployment: Deployment) -> None:
        state.upsert_deployment(deployment)
        listener.heard(deployment.name)

    def remove(name: str) -> None:
        try:
            known = deployment_name(name)
        except WireError:
            # It was malformed as long as it was there: nothing was folded in that could be taken out.
            return
        state.remove_deployment(known)
        listener.heard(known)

    return ResourceSource(DEPLOYMENTS, books, upsert=upsert, remove=remove, restarted=listener.restarted)


def devices_source(state: FleetState, books: Books) -> ResourceSource[Device]:
    def remove(name: str) -> None:
        try:
            state.remove_device(device_id(name))
        except WireError:
            # As above.
            return

    return ResourceSource(DEVICES, books, upsert=state.upsert_device, remove=remove)


def desired_source(state: FleetState, books: Books, listener: Listener[Pair]) -> BucketSource:
    def fold(pair: Pair, entry: Entry) -> str | None:
        complaint = None
        cell = None
        if entry.revision:
            value = None
            if entry.value is not None:
                try:
                    value = decode_desired_state(entry.value)
                except WireError as e:
                    complaint = str(e)
            cell = Cell(entry.revision, value, deleted=entry.value is None)
        state.desire(pair, cell)
        listener.heard(pair)
        return complaint

    return BucketSource(DESIRED_STATE, books, parse_key=parse_desired_key, fold=fold, restarted=listener.restarted)


def reports_source(state: FleetState, books: Books) -> BucketSource:
    def fold(pair: Pair, entry: Entry) -> str | None:
        if entry.value is None:
            state.report(pair, None)
            return None
        try:
            state.report(pair, decode_device_state(entry.value))
        except WireError as e:
            # The last good report stands until a good one replaces it.
            return str(e)
        return None

    return BucketSource(DEVICE_STATE, books, parse_key=parse_state_key, fold=fold)
