"""Histories made up for tests: realistic enough to look at, the same for the same seed."""

import random
from collections.abc import Sequence

from harness.history import (
    Complaints,
    ContainerEvent,
    Fault,
    Gate,
    History,
    KeysLost,
    KvEntry,
    LinkEnd,
    Mark,
    Meta,
    Op,
    Process,
    Readiness,
    Record,
    Recovery,
    Reference,
    Request,
    Resource,
    SourceProgress,
    Step,
    StreamState,
    Trigger,
    Verdict,
)
from harness.history.records import VerdictOutcome
from reports.case import CaseResult

HOSTILE = "</title><script>alert(1)</script>&\"'\x1b[31m\u202e\x00\ud800"
SOURCES = {"deployments": 20, "devices": 200, "device-state": 4000, "desired-state": 4000, "heartbeats": 200}


def meta(case: str = "200-devices", defect: str | None = None) -> Meta:
    return Meta(
        at_s=0,
        format=1,
        run_id="r1",
        scenario="cold-restart-full-kv",
        case=case,
        defect=defect,
        started_at="2026-02-03T04:05:06.000000Z",
        versions={"fleetproof": "0.1.0", "nats-server": "2.15.1", "kube-apiserver": "1.36.3", "etcd": "3.6.16"},
    )


def one_of_each() -> list[Record]:
    """A record of every type, in order of time."""
    return [
        meta(),
        Step(at_s=0.1, phase="setup", text="start"),
        Process(at_s=0.2, name="operator", event="spawned", pid=7),
        StreamState(
            at_s=0.3, bucket="desired-state", created_at="now", first_seq=1, last_seq=2, messages=2, consumers=1
        ),
        Resource(
            at_s=0.4,
            kind="Deployment",
            name="web",
            event="added",
            uid="u",
            resource_version="1",
            generation=1,
            deleting=False,
            labels={},
            spec={},
            status={},
        ),
        Fault(at_s=0.5, name="latency", target="nats", event="applied"),
        Fault(at_s=0.6, name="latency", target="nats", event="unproved", detail="no effect seen"),
        Gate(at_s=0.7, rule="patches", ordinal=3, event="held", method="PATCH", path="/apis/x"),
        Trigger(at_s=0.7, name="kv-write desired-state", ordinal=3),
        Op(at_s=0.8, client="admin", action="edit deployment", target="web", invoked_s=0.79, outcome="ok"),
        Op(at_s=0.9, client="d-1", action="put device-state", target="k", invoked_s=0.8, outcome="info"),
        KvEntry(at_s=1, bucket="desired-state", key="d.web", operation="put", revision=9, previous=0, value="{}"),
        Request(
            at_s=1.1,
            requested_s=1.05,
            user="operator",
            user_agent="x",
            verb="patch",
            resource="deployments",
            subresource="status",
            name="web",
            code=409,
        ),
        Recovery(
            at_s=1.2,
            process="operator",
            phase="Recovering",
            sources={"devices": SourceProgress(seen=1, expected=None, current=False)},
        ),
        Mark(at_s=1.3, name="restart", detail="by hand"),
        Gate(at_s=1.4, rule="patches", ordinal=3, event="released", method="PATCH", path="/apis/x"),
        KeysLost(at_s=1.4, bucket="desired-state", keys=("d.app",)),
        LinkEnd(at_s=1.4, link="operator-nats", ordinal=2, carried_bytes=4000, by="server"),
        Readiness(at_s=1.4, process="operator-1", status=503, text="recovering"),
        Reference(at_s=1.4, run="the clean run", end_state="{}"),
        Complaints(at_s=1.4, process="operator-1", counted={"device-state": 1}, logged={"device-state state.d.app": 1}),
        ContainerEvent(
            at_s=1.4,
            happened_s=1.39,
            host="d",
            event="died",
            id="4f1c",
            name="fleet.d.app.web.1",
            image="localhost/payload:v1",
            labels={"deployment": "app"},
            exit_code=3,
        ),
        Verdict(at_s=1.5, check="safety", outcome="pass", reason="held", evidence=(3, 99)),
    ]


class Story:
    """A run of a fleet: set up, written to, killed at `kill_s`, back after a while, judged."""

    def __init__(self, seed: int, *, devices: int, end_s: float, kill_s: float, writes_per_s: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a picture, not a secret
        self.devices = devices
        self.end_s = end_s
        self.kill_s = kill_s
        self.up_s = kill_s + 0.62
        self.current_s = self.up_s + 1.69
        self._writes_per_s = writes_per_s
        self.records: list[Record] = [
            Step(at_s=0.0, phase="setup", text=f"fleet of {devices} devices and 20 deployments"),
            Step(at_s=2.4, phase="setup", text="every device reports Running"),
            Step(at_s=8.0, phase="action", text="devices keep reporting"),
            Step(at_s=kill_s, phase="action", text="SIGKILL the operator"),
            Step(at_s=self.up_s, phase="action", text="start it again; wait for Converged"),
            Step(at_s=self.current_s + 6, phase="assert", text="the world did not change"),
            Mark(at_s=kill_s, name="kill"),
            Mark(at_s=self.up_s, name="restart"),
            Mark(at_s=self.current_s, name="converged"),
        ]

    def traffic(self) -> "Story":
        at_s = 2.5
        while (at_s := at_s + self._random.expovariate(self._writes_per_s)) < self.end_s:
            device, deployment = self._random.randrange(self.devices), self._random.randrange(20)
            unlucky = self.kill_s + 6 < at_s < self.kill_s + 6.6
            self.records.append(
                Op(
                    at_s=round(at_s, 6),
                    client=f"d-{device:03}",
                    action="put device-state",
                    target=f"state.d-{device:03}.app-{deployment:02}",
                    invoked_s=round(at_s - 0.002, 6),
                    outcome="info" if unlucky and self._random.random() < 0.4 else "ok",
                    revision=len(self.records),
                )
            )
        return self

    def operators(self) -> "Story":
        for name, pid in (("etcd", 4101), ("kube-apiserver", 4102), ("nats", 4103)):
            self.records.append(Process(at_s=0.05, name=name, event="spawned", pid=pid))
        kill = Process(at_s=self.kill_s, name="operator", event="signalled", pid=4242, signal="SIGKILL")
        self.records += [
            Process(at_s=0.9, name="operator", event="spawned", pid=4242),
            Process(at_s=1.5, name="operator", event="ready", pid=4242),
            kill,
            Process(at_s=self.kill_s + 0.01, name="operator", event="exited", pid=4242, exit_code=-9),
            Process(at_s=self.up_s, name="operator", event="spawned", pid=4377),
            Process(at_s=self.current_s, name="operator", event="ready", pid=4377),
        ]
        self._recovery(1.2, 1.5)
        self._recovery(self.up_s + 0.2, self.current_s)
        return self

    def _recovery(self, start_s: float, end_s: float) -> None:
        steps = 14
        for step in range(steps):
            share = step / steps
            sources = {
                name: SourceProgress(seen=int(count * share), expected=count, current=False)
                for name, count in SOURCES.items()
            }
            at_s = start_s + (end_s - start_s) * share
            self.records.append(Recovery(at_s=at_s, process="operator", phase="Recovering", sources=sources))
        done = {name: SourceProgress(seen=count, expected=count, current=True) for name, count in SOURCES.items()}
        self.records.append(Recovery(at_s=end_s, process="operator", phase="Converged", sources=done))

    def writes(self, *, after_restart: int = 0) -> "Story":
        for index in range(self.devices * 4):
            at_s = 1.6 + index * 0.0009
            self.records.append(_desired(at_s, index))
        for index in range(60):
            self.records.append(_patch(2.5 + index * 0.2, index, 409 if index % 17 == 5 else 200))
        for index in range(after_restart):
            self.records.append(_desired(self.up_s + 0.9 + index * 0.004, index, delete=True))
        return self

    def faults(self) -> "Story":
        from_s, to_s = self.kill_s + 6, self.kill_s + 6.6
        self.records += [
            Fault(at_s=from_s, name="cut", target="devices-nats", event="applied"),
            Fault(at_s=from_s + 0.1, name="cut", target="devices-nats", event="proved-active", detail="3 writes hang"),
            Fault(at_s=to_s, name="cut", target="devices-nats", event="healed"),
            Fault(at_s=to_s + 0.1, name="cut", target="devices-nats", event="proved-healed"),
        ]
        return self

    def history(self, first: Meta, verdicts: Sequence[tuple[str, str, bool]]) -> History:
        """`verdicts` are (check, reason, held); a check that did not hold points at the deletes after the restart."""
        ordered: list[Record] = [first, *sorted(self.records, key=lambda r: r.at_s)]
        deletes = tuple(
            number
            for number, record in enumerate(ordered, start=1)
            if isinstance(record, KvEntry) and record.operation == "delete"
        )
        judged = [
            Verdict(
                at_s=self.end_s,
                check=check,
                outcome="pass" if held else "fail",
                reason=reason,
                evidence=() if held else deletes,
            )
            for check, reason, held in verdicts
        ]
        return History([*ordered, *judged])


def _desired(at_s: float, index: int, *, delete: bool = False) -> KvEntry:
    return KvEntry(
        at_s=round(at_s, 6),
        bucket="desired-state",
        key=f"d-{index % 200:03}.app-{index // 200:02}",
        operation="delete" if delete else "put",
        revision=1_770_091_506_000_000 + index,
        previous=1_770_091_506_000_000 if delete else 0,
        value="" if delete else '{"owner":{"generation":1,"uid":"6f1c"},"services":[{"image":"registry/app:1"}]}',
    )


def _patch(at_s: float, index: int, code: int) -> Request:
    return Request(
        at_s=at_s + 0.04,
        requested_s=at_s,
        user="operator",
        user_agent="fleet",
        verb="patch",
        resource="deployments",
        subresource="status",
        name=f"app-{index % 20:02}",
        code=code,
    )


def story(*, failing: bool = False, devices: int = 200, end_s: float = 30.0, writes_per_s: float = 312.0) -> History:
    """The demo as it would be recorded; a failing one deletes keys before all sources are current."""
    told = Story(7, devices=devices, end_s=end_s, kill_s=10.0, writes_per_s=writes_per_s).traffic().operators()
    told.faults().writes(after_restart=37 if failing else 0)
    defect = "sweep-before-convergence" if failing else None
    return told.history(
        meta(defect=defect),
        (
            ("converged-in-time", "Converged 2.31 s after the SIGKILL; 30 s are allowed", True),
            (
                "no-write-in-unchanged-world",
                "37 desired-state deletes after the restart; 0 are allowed" if failing else "0 writes, 0 patches",
                not failing,
            ),
            ("load-was-on", "31 acknowledgements in the 100 ms before the SIGKILL, 28 in the 100 ms after", True),
            ("no-device-lost", "200 of 200 devices are counted", True),
        ),
    )


def case(history: History, outcome: VerdictOutcome = "pass") -> CaseResult:
    return CaseResult(
        id="cold-restart-full-kv[200-devices]",
        title="Cold restart with full buckets",
        outcome=outcome,
        headline="Recovered in 2.31 s after SIGKILL under 312 writes/s",
        facts=(("devices", "200"), ("deployments", "20"), ("writes", "312/s"), ("time to converge", "2.31 s")),
        history=history,
        artefacts={"history": "c1/history.jsonl", "operator log": "c1/operator.log"},
        rerun="fleetproof run cold-restart-full-kv",
        scenario="cold-restart-full-kv",
        case="200-devices",
        seconds=31.4,
    )
