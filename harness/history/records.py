"""The record types of a history: one JSON object a line, told apart by `type`.

`at_s` is seconds since the history began, on the harness's monotonic clock: when the harness learned
of it. Where the thing itself happened earlier and somebody stamped it (a client, the API server's
audit log), that time stands beside it.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

Json = dict[str, object]

Outcome = Literal["ok", "fail", "info"]
"""Of one client operation: took effect, had none, or nobody can tell (Jepsen's :ok, :fail, :info)."""

StepPhase = Literal["setup", "action", "assert"]

FaultEvent = Literal["applied", "proved-active", "healed", "proved-healed", "unproved"]

GateEvent = Literal["held", "dropped", "released", "faulted", "passed"]

Argument = str | int | float | bool | tuple[str, ...]
"""Of a check: what fits into a line of a history."""

VerdictOutcome = Literal["pass", "fail", "inconclusive", "infra-error"]

# A proven failure outranks doubt, and doubt outranks a pass.
_WORST_FIRST: tuple[VerdictOutcome, ...] = ("fail", "infra-error", "inconclusive", "pass")


def worst(outcomes: Iterable[VerdictOutcome]) -> VerdictOutcome:
    """The verdict over several. Over none it is inconclusive: nobody looked."""
    there = set(outcomes)
    return next((outcome for outcome in _WORST_FIRST if outcome in there), "inconclusive")


class Base(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    at_s: float


class Meta(Base, frozen=True, kw_only=True, tag="meta"):
    """First line: what was run, on what."""

    format: int
    run_id: str
    scenario: str
    case: str
    defect: str | None
    started_at: str
    versions: dict[str, str]


class Step(Base, frozen=True, kw_only=True, tag="step"):
    """A scenario said what it is doing."""

    phase: StepPhase
    text: str


class Mark(Base, frozen=True, kw_only=True, tag="mark"):
    """A named instant that checks refer to, e.g. `restart`."""

    name: str
    detail: str = ""


class Process(Base, frozen=True, kw_only=True, tag="process"):
    """Life of a process of the environment. `exit_code` is negative for a signal, as in subprocess.

    `settings` are those that a scenario chose for it, on its `spawned` line. `last_words` are the last lines of its
    log, on the `exited` line of one that ended with an error of its own.
    """

    name: str
    event: Literal["spawned", "ready", "signalled", "exited"]
    pid: int
    signal: str | None = None
    exit_code: int | None = None
    settings: dict[str, str] = {}
    last_words: str = ""


class Fault(Base, frozen=True, kw_only=True, tag="fault"):
    """A fault's life. One that was applied and never proved active makes a run inconclusive."""

    name: str
    target: str
    event: FaultEvent
    detail: str = ""


class Op(Base, frozen=True, kw_only=True, tag="op"):
    """One operation of a client (a device, an admin), written when it ended."""

    client: str
    action: str
    target: str
    invoked_s: float
    outcome: Outcome
    revision: int | None = None
    detail: str = ""


HAND = "hand"
"""The client of operations on a bucket that are neither an operator's nor a device's: somebody's own, by key."""


class KvEntry(Base, frozen=True, kw_only=True, tag="kv"):
    """One message stored in a bucket, as the broker republished it.

    `previous` is the revision stored before it under this key, 0 if there was none. `stored_s` is when, by the
    broker's own stamp.
    """

    bucket: str
    key: str
    operation: Literal["put", "delete"]
    revision: int
    previous: int
    value: str
    stored_s: float | None = None


class KeysLost(Base, frozen=True, kw_only=True, tag="keys-lost"):
    """Keys that the witness had seen stored in a bucket, and of which the broker holds no message any more.

    No delete marker says so: the bucket was deleted, made again or purged, or its server lost what it had stored.
    """

    bucket: str
    keys: tuple[str, ...]


class StreamState(Base, frozen=True, kw_only=True, tag="stream"):
    """A bucket's stream as the broker reports it at one instant; counts of writes are differences of `last_seq`."""

    bucket: str
    created_at: str
    first_seq: int
    last_seq: int
    messages: int
    consumers: int
    storage: str = ""
    history_per_key: int = 1
    republished_to: str | None = None


class Resource(Base, frozen=True, kw_only=True, tag="resource"):
    """One version of a custom resource, from the harness's own watch."""

    kind: str
    name: str
    event: Literal["added", "modified", "deleted"]
    uid: str
    resource_version: str
    generation: int
    deleting: bool
    labels: dict[str, str]
    spec: Json
    status: Json


class Request(Base, frozen=True, kw_only=True, tag="request"):
    """One request that the API server answered, from its audit log. `answered_s` is when it had, by its own stamp."""

    requested_s: float
    user: str
    user_agent: str
    verb: str
    resource: str
    subresource: str
    name: str
    code: int
    answered_s: float | None = None


class Gate(Base, frozen=True, kw_only=True, tag="gate"):
    """What the HTTP fault point before the API server did with the `ordinal`-th request its rule selects.

    `faulted` means that it answered itself, or spoiled the API server's answer: `detail` says how. `passed` is told
    only while some requests come to harm, so that all that come meanwhile can be counted; `rule` is "spared" then.
    The fault point before a device's podman tells of every request, under the rule "podman".
    """

    rule: str
    ordinal: int
    event: GateEvent
    method: str
    path: str
    detail: str = ""


class LinkEnd(Base, frozen=True, kw_only=True, tag="link-end"):
    """A connection through a link came to its end, the `ordinal`-th of that link, and who ended it.

    `carried_bytes` is what it had brought to the client by then; `server` stands for whatever is on that side, faults
    included.
    """

    link: str
    ordinal: int
    carried_bytes: int
    by: Literal["client", "server"]


class Trigger(Base, frozen=True, kw_only=True, tag="trigger"):
    """What a scenario waited for before it acted: the `ordinal`-th event of that name since it began to look."""

    name: str
    ordinal: int
    detail: str = ""


class Reference(Base, frozen=True, kw_only=True, tag="reference"):
    """How another run of the same workload ended, told as `harness.checks.reference_run.end_state` tells it.

    `trouble` says why that end state is no measure, if it is none.
    """

    run: str
    end_state: str
    trouble: str = ""


class SourceProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Replay of one cold-start source. `expected` is None while it is unknown; `trouble` is why it is not current."""

    seen: int
    expected: int | None
    current: bool
    trouble: str | None = None


class Readiness(Base, frozen=True, kw_only=True, tag="readiness"):
    """What an operator's /readyz answered, recorded when it differs from before. `status` 0: there was no answer."""

    process: str
    status: int
    text: str = ""


class Recovery(Base, frozen=True, kw_only=True, tag="recovery"):
    """What an operator's /recovery answered, recorded when it differs from the answer before.

    `held` is what its brake says of a sweep that waits for approval.
    """

    process: str
    phase: str
    sources: dict[str, SourceProgress]
    held: str | None = None


class Complaints(Base, frozen=True, kw_only=True, tag="complaints"):
    """What an operator had said by then of entries that it could not understand.

    `counted` is its own counter of them by source, `logged` how many lines of its log name each "source key".
    """

    process: str
    counted: dict[str, int]
    logged: dict[str, int]


class ContainerEvent(Base, frozen=True, kw_only=True, tag="container"):
    """What happened to a container of a device host, in podman's words: `create`, `start`, `died`, `remove`.

    `happened_s` is by podman's own stamp. `labels` are those that the container was made with; `exit_code` is told by
    `died` alone. An end is always told as `died`; `stop` as well only if podman came to it before the container's own
    end. Nothing is told of a power cut: that is the end of the host's first process.
    """

    happened_s: float
    host: str
    event: str
    id: str
    name: str
    image: str
    labels: dict[str, str] = {}
    exit_code: int | None = None


class Verdict(Base, frozen=True, kw_only=True, tag="verdict"):
    """What one check says of the lines above. `evidence` are line numbers (from 1) of this history.

    `function` (module:name) and its `arguments` are the question: with them the same can be asked again offline.
    """

    check: str
    outcome: VerdictOutcome
    reason: str
    evidence: tuple[int, ...] = ()
    function: str = ""
    arguments: dict[str, Argument] = {}


Record = (
    Meta
    | Step
    | Mark
    | Process
    | Fault
    | Op
    | KvEntry
    | KeysLost
    | StreamState
    | Resource
    | Request
    | Gate
    | LinkEnd
    | Trigger
    | Readiness
    | Recovery
    | Reference
    | Complaints
    | ContainerEvent
    | Verdict
)
