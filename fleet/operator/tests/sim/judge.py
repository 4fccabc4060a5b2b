"""Watches every write of an operator against the true world, as it takes effect."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum

from fleet.errors import WireError
from fleet.kube.objects import Deployment, Device
from fleet.operator.decoding import DesiredDecoder
from fleet.operator.lifecycle import FINALIZER
from fleet.operator.tests.sim.broker import MALFORMED, BucketModel, Message
from fleet.operator.tests.sim.feeds import Reached
from fleet.operator.tests.sim.kube import DEPLOYMENTS, DEVICES, KubeModel
from fleet.operator.tests.sim.story import RuleError
from fleet.wire import Bucket, DesiredState, DeviceId, Pair, desired_key, parse_desired_key

WINDOW_S = 60.0
_decoder = DesiredDecoder()


class Truth(Enum):
    """What the objects say of a pair at one moment."""

    WANTED = "wanted"
    # Its Deployment or Device is being deleted, or the Device is blocked.
    TOLD = "told"
    ORPHAN = "orphan"
    # Likewise, and there is no Deployment or no Device at all.
    ORPHAN_OF_NOTHING = "orphan of nothing"
    # An object of it can't be read: nobody knows.
    UNKNOWN = "unknown"


UNWANTED = {Truth.TOLD, Truth.ORPHAN, Truth.ORPHAN_OF_NOTHING}


def decode(value: object) -> DesiredState | None:
    """What a live key of desired-state says; None if that is malformed."""
    try:
        return _decoder.decode(value) if isinstance(value, bytes) else None
    except WireError:
        return None


def wanted(deployment: Deployment, device: Device) -> bool:
    """The contract's definition, written down once more on purpose."""
    labels_fit = all(device.labels.get(key) == value for key, value in deployment.selector.items())
    return labels_fit and not device.blocked and not device.deleting and not deployment.deleting


class Judge:
    """Remembers for each pair what was true of it since its key was last stored. Each check raises RuleError."""

    def __init__(self, kube: KubeModel, now_s: Callable[[], float], free: int) -> None:
        self._kube = kube
        self._now_s = now_s
        self._free = free
        # Of the pairs that have a key or a report: every truth since the key's revision was stored (or left no trace).
        self._since: dict[Pair, set[Truth]] = {}
        # Likewise of Devices: was it being deleted at some moment since its info, beat or report was stored?
        self._doomed: dict[tuple[Bucket, str], bool] = {}
        self._generation: dict[str, int] = {}
        self._patched_at: dict[str, tuple[Reached, ...]] = {}
        self._asked: dict[str, frozenset[Pair]] = {}
        self._approved: set[Pair] = set()
        self._free_sweeps: defaultdict[str, deque[tuple[float, Pair]]] = defaultdict(deque)
        # Writes of operators that took effect.
        self.writes = 0
        self._released: defaultdict[str, set[Pair]] = defaultdict(set)

    def truth(self, pair: Pair) -> Truth:
        kube = self._kube
        if (DEPLOYMENTS, pair.deployment) in kube.unreadable or (DEVICES, pair.device) in kube.unreadable:
            return Truth.UNKNOWN
        deployment, device = kube.deployments.get(pair.deployment), kube.devices.get(pair.device)
        if deployment is not None and device is not None and wanted(deployment, device):
            return Truth.WANTED
        if deployment is not None and deployment.deleting:
            return Truth.TOLD
        if device is not None and (device.blocked or device.deleting):
            return Truth.TOLD
        return Truth.ORPHAN if kube.deployments and kube.devices else Truth.ORPHAN_OF_NOTHING

    # What happens in the world, whoever did it

    def object_changed(self, kind: str, name: str) -> None:
        for pair, seen in self._since.items():
            seen.add(self.truth(pair))
        if kind == DEVICES:
            device = self._kube.devices.get(name)
            if device is not None and device.deleting:
                for bucket, key in self._doomed:
                    if _device_of(bucket, key) == name:
                        self._doomed[bucket, key] = True

    def stored(self, bucket: Bucket, key: str, message: Message | None) -> None:
        if bucket is Bucket.DESIRED_STATE:
            try:
                pair = parse_desired_key(key)
            except WireError:
                return
            self._since[pair] = {self.truth(pair)}
        else:
            device = self._kube.devices.get(_device_of(bucket, key))
            self._doomed[bucket, key] = device is not None and device.deleting
            if bucket is Bucket.DEVICE_STATE and message is not None:
                pair = parse_desired_key(key.removeprefix("state."))
                self._since.setdefault(pair, {self.truth(pair)})

    # What an operator does

    def sending(self, who: str, currents: Mapping[str, bool]) -> None:
        """R3: a write is sent."""
        if not all(currents.values()):
            lost = [name for name, current in currents.items() if not current]
            raise RuleError(f"R3: {who} writes while {', '.join(lost)} is not current")

    def asked(self, id_: str, pairs: Iterable[Pair]) -> None:
        known = self._asked.setdefault(id_, frozenset(pairs))
        if known != frozenset(pairs):
            raise RuleError(f"B3: {id_} names two sets of keys")

    def approved(self, id_: str) -> None:
        self._approved |= self._asked[id_]

    def told(self, who: str, pairs: Iterable[Pair], said: Iterable[Pair]) -> None:
        """A process deletes `pairs` past its brake; `said` are those that an object says are to go, as it sees that."""
        pairs = set(pairs)
        for pair in sorted(pairs ^ set(said)):
            if pair in pairs:
                raise RuleError(f"K4: {who} deletes {desired_key(pair)} at once, and no object says so")
            raise RuleError(f"K4: {who} lets {desired_key(pair)} wait for the brake, though an object says so")
        self._released[who] |= pairs

    def released(
        self, who: str, orphans: Iterable[Pair], *, nothing_listed: bool, unregistered: AbstractSet[DeviceId]
    ) -> None:
        """Orphans that the brake of a process lets through."""
        sweeps, now_s = self._free_sweeps[who], self._now_s()
        free = sorted(set(orphans) - self._approved)
        self._released[who] |= set(orphans)
        for pair in orphans:
            if pair.device in unregistered:
                raise RuleError(f"B5: {who} sweeps {desired_key(pair)} before it has registered its device")
        if free and nothing_listed:
            raise RuleError(f"B2: {who} sweeps {desired_key(free[0])} while it knows of no Deployment or no Device")
        while sweeps and sweeps[0][0] < now_s - WINDOW_S:
            sweeps.popleft()
        sweeps.extend((now_s, pair) for pair in free)
        count = len({pair for _, pair in sweeps} - self._approved)
        if count > self._free:
            raise RuleError(f"B1: {who} lets {count} orphans through within a minute")

    def writes_desired(
        self,
        who: str,
        key: str,
        before: Message | None,
        value: bytes | None,
        expected: int | None,
        *,
        told: bool,
        vanished: bool,
    ) -> None:
        """A write of desired-state takes effect over `before`. The operator saw it `told`, or the key `vanished`."""
        self.writes += 1
        if expected is None:
            raise RuleError(f"K2: {who} writes {key} without a fence")
        if (0 if before is None else before.revision) != expected:
            raise RuleError(f"K2: {who} writes {key} over another revision than it names")
        pair = parse_desired_key(key)
        since = self._since.get(pair, {self.truth(pair)})
        if value is None:
            self._deletes(who, pair, since, told=told)
        else:
            self._puts(who, pair, since, before, decode(value), vanished=vanished)

    def _deletes(self, who: str, pair: Pair, since: AbstractSet[Truth], *, told: bool) -> None:
        if not since & UNWANTED:
            rule = "R10" if Truth.UNKNOWN in since else "K3"
            was = _names(since)
            raise RuleError(f"{rule}: {who} deletes {desired_key(pair)}, which was {was} ever since it was stored")
        if not told and pair not in self._released[who]:
            raise RuleError(f"K5: {who} deletes the orphan {desired_key(pair)}, which the brake has not released")

    def _puts(
        self,
        who: str,
        pair: Pair,
        since: AbstractSet[Truth],
        before: Message | None,
        value: DesiredState | None,
        *,
        vanished: bool,
    ) -> None:
        if value is None:
            raise RuleError(f"K1: {who} puts garbage at {desired_key(pair)}")
        old = None if before is None else decode(before.value)
        if old is not None and (old.owner.uid, old.score) == (value.owner.uid, value.score):
            raise RuleError(f"K1: {who} puts {desired_key(pair)} again, which says the same")
        if old is not None and old.owner.uid == value.owner.uid and old.owner.generation > value.owner.generation:
            raise RuleError(f"K3: {who} puts generation {value.owner.generation} over {old.owner.generation}")
        foreign = before is not None and (old is None or old.owner.uid != value.owner.uid)
        if (foreign or (before is None and vanished)) and Truth.WANTED not in since:
            was = _names(since)
            raise RuleError(f"K3: {who} puts {desired_key(pair)}, {was} ever since it was gone or foreign")

    def deletes_published(self, who: str, bucket: Bucket, key: str, expected: int | None) -> None:
        """O3: what a device published is deleted."""
        self.writes += 1
        if expected is None:
            raise RuleError(f"K2: {who} deletes {key} without a fence")
        if not self._doomed.get((bucket, key), False):
            raise RuleError(f"O3: {who} deletes {key}, though its Device was not being deleted since that was stored")

    def registers(self, who: str, device: Device, info: Mapping[str, str]) -> None:
        """`info` are the labels of its device-info when it was read for this."""
        self.writes += 1
        if info != device.labels:
            raise RuleError(f"O4: {who} registers {device.name} with labels {device.labels}, not {info}")

    def sets_finalizers(self, who: str, kind: str, name: str, version: str | None, finalizers: tuple[str, ...]) -> None:
        self.writes += 1
        if version is None:
            raise RuleError(f"O6: {who} patches finalizers of {name} without a version")
        item = self._kube.of(kind).get(name)
        if item is None or item.resource_version != version:
            return
        if set(item.finalizers) - {FINALIZER} != set(finalizers) - {FINALIZER}:
            raise RuleError(f"O6: {who} changes the finalizers {item.finalizers} of {name} into {finalizers}")
        if FINALIZER in item.finalizers and FINALIZER not in finalizers and not item.deleting:
            raise RuleError(f"O1: {who} takes the finalizer off {name}, which is not being deleted")

    def lets_go(self, who: str, kind: str, name: str, desired: Iterable[Message], reached: Reached) -> None:
        """O2, O3: the finalizer goes, as decided by a world at `reached`; `desired` is what the bucket holds."""
        for message in desired:
            if message.value is None or message.revision > reached[1]:
                continue
            try:
                pair = parse_desired_key(message.key)
            except WireError:
                continue
            if name == (pair.deployment if kind == DEPLOYMENTS else pair.device):
                raise RuleError(f"O2: {who} lets {kind}/{name} go while {message.key} is live")

    def leaves_nothing(
        self, who: str, name: str, buckets: Mapping[Bucket, BucketModel], reached: Sequence[Reached]
    ) -> None:
        """O3: a Device goes; what it published is gone, as far as the operator can know."""
        for bucket, position in ((Bucket.DEVICE_STATE, reached[1]), (Bucket.DEVICE_INFO, reached[3])):
            for message in buckets[bucket].messages.values():
                told = message.value is not None and message.revision <= position[1]
                if told and message.value != MALFORMED and _device_of(bucket, message.key) == name:
                    raise RuleError(f"O3: {who} lets {name} go while {message.key} is there")

    def patched_status(
        self, who: str, before: Deployment, after: Deployment, fenced: bool, reached: tuple[Reached, ...]
    ) -> None:
        self.writes += 1
        if not fenced:
            raise RuleError(f"S12: {who} patches the status of {before.name} without a version")
        if before.resource_version == after.resource_version:
            raise RuleError(f"S12: {who} patches the status of {before.name} into what it was")
        aggregate = after.status["aggregate"]
        assert isinstance(aggregate, dict)
        if aggregate["matched"] != sum(aggregate[count] for count in ("succeeded", "failed", "pending", "stale")):
            raise RuleError(f"S1: the counts of {before.name} are no sum: {aggregate}")
        generation = after.status["observedGeneration"]
        assert isinstance(generation, int)
        if generation < self._generation.get(after.uid, 0):
            raise RuleError(f"S8: observedGeneration of {after.name} falls to {generation}")
        self._generation[after.uid] = generation
        known = self._patched_at.get(after.uid, reached)
        if any(new < old for new, old in zip(reached[:3], known[:3], strict=True)):
            raise RuleError(f"S13: {who} patches {after.name} by a world at {reached}, after one at {known}")
        self._patched_at[after.uid] = reached
        old, new = _conditions(before), _conditions(after)
        for type_, condition in new.items():
            was = old.get(type_)
            if was is None or was["status"] != condition["status"]:
                continue
            if was["lastTransitionTime"] != condition["lastTransitionTime"]:
                raise RuleError(f"S11: lastTransitionTime of {type_}: {was} became {condition}")


def _conditions(deployment: Deployment) -> dict[str, Mapping[str, object]]:
    conditions = deployment.status.get("conditions", [])
    assert isinstance(conditions, list)
    return {condition["type"]: condition for condition in conditions}


def _device_of(bucket: Bucket, key: str) -> DeviceId:
    if bucket is Bucket.DEVICE_STATE:
        return parse_desired_key(key.removeprefix("state.")).device
    return DeviceId(key.partition(".")[2])


def _names(truths: AbstractSet[Truth]) -> str:
    return " and ".join(sorted(truth.value for truth in truths))
