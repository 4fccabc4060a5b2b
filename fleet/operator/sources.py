"""Folds what informers and replicas bring into the state.

Keys and values are parsed here, at the edge. What cannot be parsed is counted, logged once per key and left alone; one
bad entry poisons nothing.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Generic, Protocol, TypeVar

from fleet.bus.entry import Entries, Entry
from fleet.bus.replica import StreamFacts
from fleet.errors import WireError
from fleet.kube.objects import Deployment, Device
from fleet.operator.books import (
    DEPLOYMENTS,
    DESIRED_STATE,
    DEVICE_HEARTBEAT,
    DEVICE_INFO,
    DEVICE_STATE,
    DEVICES,
    Books,
)
from fleet.operator.decoding import DesiredDecoder, check_heartbeat, decode_labels, decode_report
from fleet.operator.desired_keys import Cell
from fleet.operator.keys import PairKeys
from fleet.operator.loading import load_beats, load_desired, load_devices, load_infos, load_reports
from fleet.operator.state import FleetState
from fleet.wire import (
    DeploymentName,
    DeviceId,
    Pair,
)

T = TypeVar("T")
N = TypeVar("N", Pair, DeviceId)


class DesiredListener(Protocol):
    """The writer of desired-state, which waits for the echo of what it wrote."""

    def heard(self, pair: Pair) -> None: ...
    def restarted(self) -> None: ...


class StatusListener(Protocol):
    """The writer of status, likewise."""

    def heard(self, name: DeploymentName, *, status_changed: bool) -> None: ...
    def restarted(self) -> None: ...


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
    """An informer's sink: hands objects to `upsert`, unless `load` takes all of a list's at once."""

    def __init__(
        self,
        name: str,
        books: Books,
        *,
        upsert: Callable[[T], None],
        remove: Callable[[str], None],
        unreadable: Callable[[str], None],
        load: Callable[[Sequence[T]], bool] = lambda _: False,
        restarted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, books, restarted)
        self._load: Callable[[Sequence[T]], bool] = load
        self._upsert = upsert
        self._remove = remove
        self._unreadable = unreadable

    def listed(self, items: Sequence[T]) -> None:
        self.books.recovery.saw(self.name, len(items))
        if not self._load(items):
            for item in items:
                self._upsert(item)
        self.books.wake()

    def upsert(self, item: T) -> None:
        self.books.recovery.saw(self.name)
        self._upsert(item)
        self.books.wake()

    def fold(self, item: T) -> None:
        """An item that was held back after it was seen."""
        self._upsert(item)

    def removed(self, name: str) -> None:
        self._remove(name)
        self.books.wake()

    def malformed(self, name: str, reason: str) -> None:
        """What we knew of it stays: an object that we cannot read was not deleted."""
        self.books.recovery.saw(self.name)
        self._unreadable(name)
        self.books.malformed(self.name, name, reason)


class BucketSource(_Source, Generic[N]):
    """A replica's sink: parses key and value, then hands them to `fold`, unless `load` takes all of them at once."""

    def __init__(
        self,
        name: str,
        books: Books,
        *,
        parse_key: Callable[[str], N],
        fold: Callable[[N, Entry], None],
        load: Callable[[Entries], bool],
        restarted: Callable[[], None] | None = None,
        content_lost: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, books, restarted)
        self._parse_key: Callable[[str], N] = parse_key
        self._fold: Callable[[N, Entry], None] = fold
        self._load: Callable[[Entries], bool] = load
        self._content_lost = content_lost
        # Only those who wrote it can say what it held.
        self._incomplete = False

    def made(self) -> None:
        """The bucket was made just now, by us and outside of a session."""
        self._incomplete = True

    def opened(self, facts: StreamFacts) -> None:
        # A session that did not come to its end has told nobody.
        self._incomplete = self._incomplete or facts.made or facts.replaced

    def replayed(self) -> None:
        super().replayed()
        if self._incomplete and self._content_lost is not None:
            self._content_lost()
        self._incomplete = False

    def entries(self, entries: Entries) -> None:
        self.books.recovery.saw(self.name, len(entries))
        if self._load(entries):
            return
        parse_key, fold = self._parse_key, self._fold
        for entry in entries:
            try:
                fold(parse_key(entry.key), entry)
            except WireError as e:
                self.books.malformed(self.name, entry.key, str(e))
            if not entry.revision:
                self._incomplete = True
        self.books.wake()


def deployments_source(state: FleetState, books: Books, listener: StatusListener) -> ResourceSource[Deployment]:
    def upsert(deployment: Deployment) -> None:
        old = state.deployments.get(deployment.name)
        state.upsert_deployment(deployment)
        listener.heard(deployment.name, status_changed=old is not None and old.status != deployment.status)

    def remove(name: str) -> None:
        known = DeploymentName(name)
        state.remove_deployment(known)
        listener.heard(known, status_changed=False)

    return ResourceSource(
        DEPLOYMENTS,
        books,
        upsert=upsert,
        remove=remove,
        unreadable=state.unreadable_deployments.add,
        restarted=listener.restarted,
    )


def devices_source(state: FleetState, books: Books) -> ResourceSource[Device]:
    return ResourceSource(
        DEVICES,
        books,
        upsert=state.upsert_device,
        remove=lambda name: state.remove_device(DeviceId(name)),
        unreadable=state.unreadable_devices.add,
        load=partial(load_devices, state),
    )


def desired_source(state: FleetState, books: Books, keys: PairKeys, listener: DesiredListener) -> BucketSource[Pair]:
    decoder = DesiredDecoder()

    def fold(pair: Pair, entry: Entry) -> None:
        value = None
        try:
            if entry.value is not None:
                value = decoder.decode(entry.value)
        finally:
            # What is malformed is there all the same, and is written anew.
            cell = Cell(entry.revision, value, deleted=entry.value is None) if entry.revision else None
            state.desire(pair, cell)
            listener.heard(pair)

    return BucketSource(
        DESIRED_STATE,
        books,
        parse_key=keys.of_desired_key,
        fold=fold,
        load=partial(load_desired, state, keys, decoder),
        restarted=listener.restarted,
    )


def reports_source(
    state: FleetState, books: Books, keys: PairKeys, content_lost: Callable[[], None]
) -> BucketSource[Pair]:
    def fold(pair: Pair, entry: Entry) -> None:
        if entry.value is None:
            state.report(pair, None)
            return
        try:
            report = decode_report(entry.value)
        except WireError:
            # What stood there before is known to none that starts later: nobody has reported anything.
            state.report(pair, None)
            raise
        state.report(pair, report, datetime.fromtimestamp(entry.at_s, UTC))

    load = partial(load_reports, state, keys)
    return BucketSource(
        DEVICE_STATE, books, parse_key=keys.of_state_key, fold=fold, load=load, content_lost=content_lost
    )


class HeartbeatSource(BucketSource[DeviceId]):
    """Beats, and whether we can have missed one."""

    def __init__(
        self,
        state: FleetState,
        books: Books,
        keys: PairKeys,
        *,
        content_lost: Callable[[], None],
        now_s: Callable[[], float],
    ) -> None:
        super().__init__(
            DEVICE_HEARTBEAT,
            books,
            parse_key=keys.of_heartbeat_key,
            fold=self._beat,
            load=partial(load_beats, state, keys),
            content_lost=content_lost,
        )
        self._state = state
        self._now_s = now_s

    def opened(self, facts: StreamFacts) -> None:
        super().opened(facts)
        self._state.liveness.opened(facts.created_s, facts.broker_now_s, self._now_s())

    def replayed(self) -> None:
        self._state.liveness.connected(self._now_s())
        super().replayed()

    def lost(self, reason: str) -> None:
        self._state.liveness.broken()
        super().lost(reason)

    def _beat(self, device: DeviceId, entry: Entry) -> None:
        if entry.value is not None:
            check_heartbeat(entry.value)
            self._state.beat(device, entry.at_s)
        elif entry.revision:
            self._state.beat_forgotten(device)
        # A beat that vanished without a marker was sent all the same.


def infos_source(
    state: FleetState,
    books: Books,
    keys: PairKeys,
    content_lost: Callable[[], None],
    heard: Callable[[DeviceId], None] = lambda _: None,
) -> BucketSource[DeviceId]:
    def fold(device: DeviceId, entry: Entry) -> None:
        if entry.value is not None:
            heard(device)
        state.introduce(device, None if entry.value is None else decode_labels(entry.value))

    load = partial(load_infos, state, keys, heard)
    return BucketSource(DEVICE_INFO, books, parse_key=keys.of_info_key, fold=fold, load=load, content_lost=content_lost)
