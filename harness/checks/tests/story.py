"""Small synthetic histories, told line by line; each call advances the clock a little and answers its line number."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from fleet.wire import (
    DESIRED_SUBJECT_PREFIX,
    Bucket,
    DesiredState,
    DeviceState,
    EnvVar,
    Owner,
    Phase,
    Port,
    Score,
    Service,
)
from harness.checks.tests.telling import DeviceTelling
from harness.history import (
    Fault,
    Gate,
    KvEntry,
    Process,
    Recovery,
    Request,
    Resource,
    StreamState,
)
from harness.history.records import FaultEvent, GateEvent, Json

MADE_AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MADE_US = int(MADE_AT.timestamp() * 1e6)
STEP_S = 0.01
GROUP = {"group": "g0"}
TRUE = {"matched": 1, "succeeded": 1, "pending": 0, "failed": 0}


def spec_of(image: str = "registry.example/app:1", selector: Mapping[str, str] = GROUP) -> Json:
    """A Deployment's spec, with some of everything that a score can hold."""
    service = {
        "name": "main",
        "image": image,
        "env": [{"name": "MODE", "value": "on"}],
        "ports": [{"containerPort": 80, "hostPort": 8080}],
    }
    return {"targetSelector": {"matchLabels": dict(selector)}, "services": [service]}


def score(image: str = "registry.example/app:1") -> Score:
    """What `spec_of` asks for, as the contract writes it."""
    return Score((Service("main", image, env=(EnvVar("MODE", "on"),), ports=(Port(80, 8080),)),))


def desired(uid: str = "uid-app", generation: int = 1, image: str = "registry.example/app:1") -> str:
    return DesiredState(Owner(uid, generation), score(image)).encode().decode()


def status_of(aggregate: Mapping[str, object], *, ready: bool | None = None, generation: int = 1) -> Json:
    """A whole status around these counts; Ready follows from them unless it is given."""
    holds = aggregate.get("matched") == aggregate.get("succeeded") if ready is None else ready
    return {
        "aggregate": dict(aggregate),
        "observedGeneration": generation,
        "conditions": [{"type": "Ready", "status": "True" if holds else "False"}],
    }


def report(phase: Phase = Phase.RUNNING, *, uid: str = "uid-app", generation: int = 1, after_s: float = 0.0) -> str:
    state = DeviceState(phase, MADE_AT + timedelta(seconds=after_s), Owner(uid, generation))
    return state.encode().decode()


class Story(DeviceTelling):
    """A history in the making."""

    def __init__(self) -> None:
        super().__init__(MADE_AT, STEP_S)
        self.newest: dict[str, int] = {}
        self._version = 0

    def asked(
        self,
        buckets: Sequence[Bucket] = tuple(Bucket),
        *,
        made_at: datetime = MADE_AT,
        first_seq: int = MADE_US,
        last_seq: int | None = None,
        messages: int | None = None,
        history_per_key: int = 1,
        republished: bool = True,
        consumers: int = 0,
    ) -> int:
        """The broker is asked for its buckets; desired-state is as the witness saw it if not said otherwise."""
        line = 0
        for bucket in buckets:
            is_desired = bucket is Bucket.DESIRED_STATE
            line = self.add(
                StreamState(
                    at_s=self.at_s,
                    bucket=bucket.value,
                    created_at=str(made_at),
                    first_seq=first_seq,
                    last_seq=(self.revision if is_desired else first_seq - 1) if last_seq is None else last_seq,
                    messages=(len(self.newest) if is_desired else 0) if messages is None else messages,
                    consumers=consumers,
                    history_per_key=history_per_key,
                    republished_to=f"{DESIRED_SUBJECT_PREFIX}.>" if is_desired and republished else None,
                )
            )
        return line

    def asked_and_marked(self, name: str) -> int:
        """As `Environment.mark` does it."""
        self.asked()
        return self.mark(name)

    def stored(
        self,
        key: str,
        value: str = "",
        operation: Literal["put", "delete"] = "put",
        *,
        stored_s: float | None = None,
    ) -> int:
        """A write of desired-state, seen by the witness."""
        self.revision += 1
        previous, self.newest[key] = self.newest.get(key, 0), self.revision
        return self.add(
            KvEntry(
                at_s=self.at_s,
                bucket=Bucket.DESIRED_STATE.value,
                key=key,
                operation=operation,
                revision=self.revision,
                previous=previous,
                value=value,
                stored_s=stored_s,
            )
        )

    def resource(
        self,
        kind: str,
        name: str,
        *,
        event: Literal["added", "modified", "deleted"] = "modified",
        spec: Json | None = None,
        labels: Mapping[str, str] = {},
        status: Json | None = None,
        deleting: bool = False,
        uid: str | None = None,
        generation: int = 1,
    ) -> int:
        self._version += 1
        return self.add(
            Resource(
                at_s=self.at_s,
                kind=kind,
                name=name,
                event=event,
                uid=uid or f"uid-{name}",
                resource_version=str(self._version),
                generation=generation,
                deleting=deleting,
                labels=dict(labels),
                spec=spec or {},
                status=status or {},
            )
        )

    def device(
        self,
        name: str,
        *,
        blocked: bool = False,
        labels: Mapping[str, str] = GROUP,
        deleting: bool = False,
        event: Literal["added", "modified", "deleted"] = "modified",
    ) -> int:
        return self.resource("Device", name, labels=labels, spec={"blocked": blocked}, deleting=deleting, event=event)

    def deployment(
        self,
        name: str = "app",
        counts: Mapping[str, object] | None = None,
        *,
        spec: Json | None = None,
        deleting: bool = False,
        uid: str | None = None,
        generation: int = 1,
        event: Literal["added", "modified", "deleted"] = "modified",
    ) -> int:
        status = {} if counts is None else status_of(counts, generation=generation)
        return self.resource(
            "Deployment",
            name,
            spec=spec or spec_of(),
            status=status,
            deleting=deleting,
            uid=uid,
            generation=generation,
            event=event,
        )

    def patch(
        self,
        *,
        verb: str = "patch",
        resource: str = "deployments",
        subresource: str = "status",
        requested_s: float | None = None,
        answered_s: float | None = None,
        code: int = 200,
        name: str = "app",
    ) -> int:
        return self.add(
            Request(
                at_s=self.at_s,
                requested_s=self.at_s if requested_s is None else requested_s,
                user="operator",
                user_agent="",
                verb=verb,
                resource=resource,
                subresource=subresource,
                name=name,
                code=code,
                answered_s=answered_s,
            )
        )

    def fault(self, event: FaultEvent, name: str = "sigkill", target: str = "operator") -> int:
        return self.add(Fault(at_s=self.at_s, name=name, target=target, event=event))

    def gate(self, event: GateEvent, ordinal: int = 2, rule: str = "patch") -> int:
        return self.add(Gate(at_s=self.at_s, rule=rule, ordinal=ordinal, event=event, method="PATCH", path="/x"))

    def process(
        self,
        event: Literal["spawned", "ready", "signalled", "exited"],
        name: str = "operator-1",
        *,
        pid: int = 1,
        signal: str | None = None,
        settings: Mapping[str, str] = {},
    ) -> int:
        return self.add(
            Process(at_s=self.at_s, name=name, event=event, pid=pid, signal=signal, settings=dict(settings))
        )

    def recovery(self, phase: str, name: str = "operator-1", *, held: str | None = None) -> int:
        return self.add(Recovery(at_s=self.at_s, process=name, phase=phase, sources={}, held=held))


def settled(devices: int = 1) -> Story:
    """Devices that one Deployment selects: keys stored, reports acknowledged, status true, the broker asked."""
    story = Story()
    names = [f"site.rack.device-{i}" for i in range(devices)]
    for name in names:
        story.device(name)
    story.deployment()
    for name in names:
        story.stored(f"{name}.app", desired())
        story.said(f"{name}.app", report())
    story.deployment(counts={**TRUE, "matched": devices, "succeeded": devices})
    story.patch()
    story.asked()
    return story
