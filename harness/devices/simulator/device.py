"""What one simulated device knows, and what it makes of what it hears. Pure: no I/O, no clock.

It forgets all when the process ends, as a device with a new disk. Words that step forward are taken at once; whatever
might be a step back (a deletion, another owner, an older or equal generation) only after a leader read confirms it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache

from fleet.errors import WireError
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceId,
    DeviceState,
    Owner,
    Pair,
    Phase,
    decode_desired_state,
    heartbeat_key,
    state_key,
)
from harness.devices.simulator.keys import OwnKey
from harness.devices.simulator.line import Line

FAILURE = "SimulatedFailure: this device was told to fail"
_KNOWN_SCORES_MAX = 64
_TICK = timedelta(milliseconds=1)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of a desired state: what reports need. Thousands of devices share one."""

    digest: bytes
    owner: Owner
    services: tuple[str, ...]


class Act(Enum):
    NOTHING = auto()
    CONFIRM = auto()
    REPORT = auto()
    REFUSED = auto()
    """It cannot be understood, and there is nothing to say it about."""


class Slot:
    """One deployment of a device. `due`: its report is to be written; if nothing is `wanted`, to be deleted."""

    __slots__ = ("due", "error", "found", "key", "last_event_at", "phase", "refused", "restarts", "wanted", "writing")

    def __init__(self, key: OwnKey) -> None:
        self.key = key
        self.wanted: Wanted | None = None
        self.phase = Phase.PENDING
        self.error: str | None = None
        self.restarts = 0
        self.last_event_at: datetime | None = None
        self.due = False
        self.writing = False
        # For the last word's digest: equal bytes are refused once.
        self.refused: bytes | None = None
        # What was stored when this process began.
        self.found: DeviceState | None = None

    def change(self, *, failed: bool) -> None:
        """A container ended and came back with another id; or it failed, and the next change mends it."""
        self.due = True
        if failed and self.phase is not Phase.FAILED:
            self.phase, self.error = Phase.FAILED, FAILURE
        else:
            self.phase, self.error = Phase.RUNNING, None
            self.restarts += 1

    def settle(self) -> None:
        """What was stored as Pending is running a moment later."""
        if self.phase is Phase.PENDING:
            self.phase, self.due = Phase.RUNNING, True


class Device:
    """`hear` and `found` change it; whoever calls them writes what is due."""

    __slots__ = (
        "beating", "heard_on", "heartbeat", "id", "joined", "joining", "line", "number", "queued", "reading",
        "recalled", "say_again", "sequence", "slots", "told",
    )  # fmt: skip

    def __init__(self, number: int, device: DeviceId, line: Line) -> None:
        self.number = number
        self.id = device
        self.line = line
        self.heartbeat = OwnKey(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device))
        self.sequence = 0
        self.slots: dict[DeploymentName, Slot] = {}
        # Deployments that were told about since the read began: newer than what it finds.
        self.told: set[DeploymentName] | None = None
        # The client on which it is subscribed.
        self.heard_on: object = None
        self.joined = self.joining = self.queued = False
        self.beating = self.reading = False
        self.recalled = self.say_again = False

    @property
    def is_settled(self) -> bool:
        """Whether it is in no trouble and waits for no acknowledgement of a report."""
        return self.joined and not any(slot.writing for slot in self.slots.values())

    def hear(self, deployment: DeploymentName, word: bytes | None, *, confirmed: bool = False) -> Act:
        """Take what a message or a read brought (None: a delete marker), or say what has to come first."""
        slot = self.slots.get(deployment)
        if word is None:
            return self._deleted(slot, confirmed=confirmed)
        digest = hashlib.sha256(word).digest()
        if slot is not None and slot.refused == digest:
            return Act.NOTHING
        try:
            wanted = _understood(word)
        except WireError as e:
            return self._refuse(slot, digest, str(e))
        held = slot.wanted if slot is not None else None
        if held is not None:
            if held.digest == digest and slot is not None and slot.refused is None:
                return Act.NOTHING
            if not confirmed and not _is_forward(held, wanted):
                return Act.CONFIRM
        return self._take(deployment, wanted)

    def state(self, deployment: DeploymentName, now: datetime) -> DeviceState:
        """The report that is due: later than all before it."""
        slot = self.slots[deployment]
        if slot.wanted is None:
            raise ValueError(f"{self.id} was told nothing about {deployment}")
        last = slot.last_event_at
        # At the end of time the one stored later counts.
        slot.last_event_at = now if last is None else max(now, last + min(_TICK, _END_OF_TIME - last))
        return DeviceState(
            phase=slot.phase,
            last_event_at=slot.last_event_at,
            owner=slot.wanted.owner,
            container_ids=self._container_ids(deployment, slot) if slot.phase is Phase.RUNNING else {},
            last_error=slot.error,
        )

    def found(self, deployment: DeploymentName, revision: int, state: DeviceState | None) -> None:
        """What is stored as our report (None: what nobody understands)."""
        slot = self.slots.get(deployment)
        if slot is None:
            slot = self._slot(deployment)
            slot.found = state
            slot.last_event_at = state.last_event_at if state is not None else None
        # What is on its way is newer than what was read.
        if not slot.writing:
            slot.due = slot.due or (slot.key.revision != revision and slot.wanted is not None)
            slot.key.revision = revision

    def not_found(self, deployment: DeploymentName) -> None:
        """It is gone, or this copy of the stream lags: the leader is asked before the next write."""
        slot = self.slots[deployment]
        if not slot.writing:
            slot.key.revision = None
            slot.due = slot.due or slot.wanted is not None

    def _slot(self, deployment: DeploymentName) -> Slot:
        slot = self.slots.get(deployment)
        if slot is None:
            key = OwnKey(Bucket.DEVICE_STATE, state_key(Pair(self.id, deployment)))
            slot = self.slots[deployment] = Slot(key)
        return slot

    @staticmethod
    def _deleted(slot: Slot | None, *, confirmed: bool) -> Act:
        if slot is None:
            return Act.NOTHING
        if not confirmed:
            return Act.CONFIRM
        slot.wanted, slot.found, slot.refused, slot.due = None, None, None, True
        return Act.REPORT

    def _take(self, deployment: DeploymentName, wanted: Wanted) -> Act:
        slot = self._slot(deployment)
        found, slot.found = slot.found, None
        slot.wanted, slot.refused, slot.error, slot.restarts = wanted, None, None, 0
        slot.phase, slot.due = Phase.PENDING, True
        if found is not None and found.phase is Phase.RUNNING and found.owner == wanted.owner:
            # Told before, by an earlier run of this simulator: devices with the same containers say nothing.
            slot.due = found.container_ids != self._container_ids(deployment, slot)
            slot.phase = Phase.PENDING if slot.due else Phase.RUNNING
        return Act.REPORT

    @staticmethod
    def _refuse(slot: Slot | None, digest: bytes, reason: str) -> Act:
        """The last good one goes on, and the report says so."""
        if slot is None or slot.wanted is None:
            return Act.REFUSED
        slot.refused = digest
        slot.phase, slot.error, slot.due = Phase.FAILED, f"DesiredRefused: {reason}", True
        return Act.REPORT

    def _container_ids(self, deployment: DeploymentName, slot: Slot) -> Mapping[str, str]:
        """As long as real ones."""
        if slot.wanted is None:
            return {}
        base = f"{self.id}/{deployment}/{slot.restarts}/".encode() + slot.wanted.digest
        return {name: hashlib.sha256(base + name.encode()).hexdigest() for name in slot.wanted.services}


@lru_cache(maxsize=_KNOWN_SCORES_MAX)
def _understood(word: bytes) -> Wanted:
    desired = decode_desired_state(word)
    names = tuple(service.name for service in desired.score.services)
    return Wanted(hashlib.sha256(word).digest(), desired.owner, names)


def _is_forward(held: Wanted, new: Wanted) -> bool:
    return held.digest == new.digest or (
        held.owner.uid == new.owner.uid and held.owner.generation < new.owner.generation
    )
