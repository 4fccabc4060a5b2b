"""A plain model of what should be, from the custom resources and from what devices had acknowledged.

Written from the contract and apart from the operator, so that the two can disagree.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from fleet.errors import WireError
from fleet.wire import (
    Bucket,
    DesiredState,
    DeviceState,
    EnvVar,
    HealthCheck,
    Lifecycle,
    Port,
    PullPolicy,
    Resources,
    Score,
    Service,
    Volume,
    decode_desired_state,
    decode_device_state,
    parse_desired_key,
    parse_state_key,
)
from harness.checks.silence import silent_at_end
from harness.checks.window import is_desired_write, last_read
from harness.history import HAND, History, KeysLost, KvEntry, Meta, Op, Process, Resource

Key = tuple[str, str]
"""(device, deployment)"""

Json = dict[str, object]

_PUT_STATE = f"put {Bucket.DEVICE_STATE}"
_DELETE_STATE = f"delete {Bucket.DEVICE_STATE}"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The counts of one Deployment's status."""

    matched: int = 0
    succeeded: int = 0
    pending: int = 0
    failed: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a Deployment's status says, times and wording apart."""

    aggregate: Aggregate
    ready: bool
    observed_generation: int
    last_error_device: str | None


@dataclass(frozen=True, slots=True)
class World:
    """The end state that a history shows."""

    deployments: Mapping[str, Resource]
    wanted: Mapping[Key, Score]
    """What each device is to run, by the resources alone."""
    stored: Mapping[Key, DesiredState | None]
    """Per key of desired-state: its value, or None if its bytes are malformed. Deleted keys are not in it."""
    reports: Mapping[Key, DeviceState]
    silent: frozenset[str] = frozenset()
    """The devices that have not beaten for too long."""

    @classmethod
    def at_end(cls, history: History) -> "World":
        deployments: dict[str, Resource] = {}
        devices: dict[str, Resource] = {}
        for resource in history.of(Resource):
            kept = deployments if resource.kind == "Deployment" else devices
            if resource.event == "deleted":
                kept.pop(resource.name, None)
            else:
                kept[resource.name] = resource
        wanted: dict[Key, Score] = {}
        for deployment in deployments.values():
            score = score_of(deployment.spec)
            wanted |= {(d.name, deployment.name): score for d in devices.values() if selects(deployment, d)}
        return cls(deployments, wanted, _stored(history), reports_known(history), silent_at_end(history))

    def aggregate(self, deployment: str) -> Aggregate:
        """The counts that a Deployment's status should show."""
        counts = {"succeeded": 0, "pending": 0, "failed": 0, "stale": 0}
        keys = [key for key in self.wanted if key[1] == deployment]
        for key in keys:
            counts[self._standing(key)] += 1
        return Aggregate(matched=len(keys), **counts)

    def status(self, deployment: str) -> Shown:
        """What a Deployment's status should show."""
        aggregate = self.aggregate(deployment)
        failures = [
            (self.reports[key].last_event_at, key[0])
            for key in self.wanted
            if key[1] == deployment and self._standing(key) == "failed"
        ]
        return Shown(
            aggregate,
            ready=aggregate.matched > 0 and aggregate.succeeded == aggregate.matched,
            observed_generation=self.deployments[deployment].generation,
            last_error_device=max(failures)[1] if failures else None,
        )

    def _standing(self, key: Key) -> str:
        report, desired = self.reports.get(key), self.stored.get(key)
        if report is not None and key[0] in self.silent:
            return "stale"
        if report is None or desired is None or report.owner.uid != desired.owner.uid:
            return "pending"
        if report.owner.generation < desired.owner.generation:
            return "pending"
        if desired.owner.uid != self.deployments[key[1]].uid or desired.score != self.wanted[key]:
            # The key does not hold yet what the Deployment asks for now.
            return "pending"
        return {"Running": "succeeded", "Failed": "failed"}.get(report.phase.value, "pending")


def selects(deployment: Resource, device: Resource) -> bool:
    """An empty selector selects nothing."""
    selector = cast("Json", cast("Json", deployment.spec.get("targetSelector", {})).get("matchLabels", {}))
    blocked = bool(device.spec.get("blocked", False))
    gone = deployment.deleting or device.deleting or blocked
    return not gone and bool(selector) and selector.items() <= device.labels.items()


def witness_gap(history: History) -> str | None:
    """In words, why the witness of desired-state cannot have seen all that the bucket holds; None if it has.

    A message that it missed, keys whose loss it did not find out: then `World.stored` is not what is stored.
    """
    entries = list(history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE))
    read, keys = last_read(history, Bucket.DESIRED_STATE), len(_keys_stored(history))
    if read is None:
        return f"{Bucket.DESIRED_STATE} was written and is not there at the end" if keys else None
    line, state = read
    if entries and entries[-1][0] > line:
        # Still being written while the broker was asked: the two counts belong to different instants.
        return None
    # By when it was stored: what the witness missed while the server was away it read afterwards.
    newest = max(entries, key=lambda numbered: (stored_s(numbered[1]), numbered[0]))[1].revision if entries else 0
    if state.messages and newest != state.last_seq:
        return f"the broker's newest write of {Bucket.DESIRED_STATE} is {state.last_seq}, the witness's {newest}"
    if state.history_per_key == 1 and keys != state.messages:
        return f"{Bucket.DESIRED_STATE} holds {state.messages} keys and delete markers, the witness saw {keys}"
    return None


def stored_s(entry: KvEntry) -> float:
    """When the broker stored it, in the history's seconds; when it was seen, if the broker did not say."""
    return entry.at_s if entry.stored_s is None else entry.stored_s


def status_aggregate(deployment: Resource) -> Aggregate | None:
    """The counts that a Deployment's status shows; None if it has none yet."""
    shown = deployment.status.get("aggregate")
    if not isinstance(shown, dict):
        return None
    counts = cast("dict[str, int]", shown)
    return Aggregate(*(counts.get(name, 0) for name in ("matched", "succeeded", "pending", "failed", "stale")))


def status_shown(deployment: Resource) -> Shown | None:
    """What a Deployment's status shows; None if it has none yet."""
    aggregate = status_aggregate(deployment)
    if aggregate is None:
        return None
    error = cast("Json", deployment.status["aggregate"]).get("lastError")
    conditions = cast("list[Json]", deployment.status.get("conditions") or [])
    return Shown(
        aggregate,
        ready=any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions),
        observed_generation=cast("int", deployment.status.get("observedGeneration", 0)),
        last_error_device=str(cast("Json", error).get("device")) if isinstance(error, dict) else None,
    )


def score_of(spec: Json) -> Score:
    """A Deployment's spec as the contract's score."""
    lifecycle = cast("Json", spec.get("lifecycle", {}))
    return Score(
        services=tuple(_service(item) for item in cast("list[Json]", spec.get("services", []))),
        lifecycle=Lifecycle(
            stop_signal=str(lifecycle.get("stopSignal", "SIGTERM")),
            grace_period_secs=cast("int", lifecycle.get("gracePeriodSecs", 30)),
        ),
    )


def _service(item: Json) -> Service:
    resources = cast("dict[str, int]", item.get("resources", {}))
    return Service(
        name=str(item["name"]),
        image=str(item["image"]),
        command=tuple(cast("list[str]", item.get("command", []))),
        env=tuple(EnvVar(e["name"], e.get("value", "")) for e in cast("list[dict[str, str]]", item.get("env", []))),
        ports=tuple(
            Port(cast("int", p["containerPort"]), cast("int", p["hostPort"]), str(p.get("protocol", "TCP")))
            for p in cast("list[Json]", item.get("ports", []))
        ),
        volumes=tuple(
            Volume(str(v["source"]), str(v["target"]), bool(v.get("readOnly", False)))
            for v in cast("list[Json]", item.get("volumes", []))
        ),
        resources=Resources(resources.get("cpuMillis"), resources.get("memoryBytes")),
        image_pull_policy=PullPolicy(str(item.get("imagePullPolicy", PullPolicy.IF_NOT_PRESENT))),
        health_check=_health_check(cast("Json", item["healthCheck"])) if "healthCheck" in item else None,
    )


def _health_check(item: Json) -> HealthCheck:
    return HealthCheck(
        command=tuple(cast("list[str]", item["command"])),
        interval_secs=cast("int", item.get("intervalSecs", 30)),
        timeout_secs=cast("int", item.get("timeoutSecs", 5)),
        retries=cast("int", item.get("retries", 3)),
    )


def _keys_stored(history: History) -> set[str]:
    """Keys of desired-state that hold a value or a delete marker, by the witness."""
    keys: set[str] = set()
    for record in history.records:
        if isinstance(record, KvEntry) and record.bucket == Bucket.DESIRED_STATE:
            keys.add(record.key)
        elif isinstance(record, KeysLost) and record.bucket == Bucket.DESIRED_STATE:
            keys.difference_update(record.keys)
    return keys


def _stored(history: History) -> dict[Key, DesiredState | None]:
    """A key that cannot be parsed is nobody's."""
    stored: dict[Key, DesiredState | None] = {}
    for entry in history.records:
        if isinstance(entry, KeysLost):
            for key in entry.keys:
                with contextlib.suppress(WireError):
                    stored.pop(parse_desired_key(key), None)
        if not is_desired_write(entry):
            continue
        try:
            pair = parse_desired_key(entry.key)
        except WireError:
            continue
        if entry.operation == "delete":
            stored.pop(pair, None)
            continue
        try:
            stored[pair] = decode_desired_state(entry.value.encode())
        except WireError:
            stored[pair] = None
    return stored


def reports_known(history: History, *, clamped: bool = True, by_event_time: bool = True) -> dict[Key, DeviceState]:
    """The newest report of each pair, by event time, among those that an operator can know.

    Who runs keeps the newer report when an older one takes its place in the bucket. That dies with the last operator:
    the next one finds what is stored. What is malformed is no report. An event later than its storing counts as of
    then, so that no clock that is ahead has the last word for ever.

    Args:
        history: what happened.
        clamped: False for the model of an operator that believes every time.
        by_event_time: False for one to which the report that was stored last is the newest.
    """
    stored: dict[Key, DeviceState | None] = {}
    known: dict[Key, DeviceState] = {}
    living: set[str] = set()
    meta = history.of(Meta)
    began_at = datetime.fromisoformat(meta[0].started_at) if meta and clamped else None
    for record in history.records:
        if isinstance(record, Process) and record.name.startswith("operator"):
            if record.event == "spawned" and not living:
                known = {key: report for key, report in stored.items() if report is not None}
            living = living - {record.name} if record.event == "exited" else living | {record.name}
        elif isinstance(record, Op | KvEntry) and (pair := _reported_pair(record)) is not None:
            report = stored[pair] = _report(record, began_at)
            if report is None:
                known.pop(pair, None)
            else:
                before = known.get(pair)
                if before is None or not by_event_time or report.last_event_at >= before.last_event_at:
                    known[pair] = report
    return known


def _reported_pair(record: Op | KvEntry) -> Key | None:
    """Whose device-state was written; None if none was. Real agents' is seen by the witness, the hand names the key."""
    try:
        if isinstance(record, KvEntry):
            return parse_state_key(record.key) if record.bucket == Bucket.DEVICE_STATE else None
        if record.outcome != "ok" or record.action not in {_PUT_STATE, _DELETE_STATE}:
            return None
        return parse_state_key(record.target) if record.client == HAND else parse_desired_key(record.target)
    except WireError:
        return None


def _report(record: Op | KvEntry, began_at: datetime | None) -> DeviceState | None:
    """What was put, as of its storing if it says a later time; None for what is malformed or was deleted."""
    text, at_s = (record.detail, record.at_s) if isinstance(record, Op) else (record.value, stored_s(record))
    try:
        report = decode_device_state(text.encode())
    except WireError:
        return None
    if began_at is None:
        return report
    stored_at = began_at + timedelta(seconds=at_s)
    return replace(report, last_event_at=min(report.last_event_at, stored_at))
