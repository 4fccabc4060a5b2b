"""One record in one line of words, and the few records of a history that a reader wants first. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

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
    Step,
    StreamState,
    Trigger,
    Verdict,
)
from reports.html.spans import exit_word
from reports.html.text import clip

WHAT_MAX = 300
KEY_INSTANTS_MAX = 150


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a history as shown in a table. `number` counts from 1, as in the file."""

    number: int
    at_s: float | None
    kind: str
    what: str


def line(history: History, number: int) -> Line:
    """The numbered line in words; a number outside the history says so."""
    if not 1 <= number <= len(history.records):
        return Line(number, None, "?", "this history has no such line")
    record = history.records[number - 1]
    kind, what = described(record)
    return Line(number, record.at_s, kind, clip(what, WHAT_MAX))


def described(record: Record) -> tuple[str, str]:  # noqa: PLR0911 - one return for each record type
    """(kind, what happened) of any record."""
    match record:
        case Meta():
            defect = f", defect {record.defect}" if record.defect else ""
            return "run", f"{record.scenario}[{record.case}]{defect} started {record.started_at}"
        case Step():
            return record.phase, record.text
        case Mark():
            return "mark", _with(record.name, record.detail)
        case Process():
            return "process", f"{record.name} (pid {record.pid}) {_process_word(record)}"
        case Fault():
            return "fault", _with(f"{record.name} on {record.target} {record.event}", record.detail)
        case Gate():
            where = f"{record.method} {record.path}"
            return "gate", _with(f"{record.event} request {record.ordinal} of {record.rule}: {where}", record.detail)
        case Trigger():
            return "trigger", _with(f"{record.name}, number {record.ordinal}", record.detail)
        case Verdict():
            return "verdict", f"{record.check} {record.outcome}: {record.reason}"
        case Readiness() | Recovery() | LinkEnd() | Reference() | Complaints() | KeysLost():
            return _described_news(record)
        case _:
            return _described_traffic(record)


def _described_news(
    record: Readiness | Recovery | LinkEnd | Reference | Complaints | KeysLost,
) -> tuple[str, str]:
    """What an operator said, and what witnesses and other runs told of."""
    match record:
        case Readiness():
            answer = f"{record.status} {record.text}" if record.status else "nothing"
            return "readiness", f"{record.process} answered {answer} on /readyz"
        case Recovery():
            told = ", ".join(
                f"{name} {s.seen}/{'?' if s.expected is None else s.expected}{' current' if s.current else ''}"
                for name, s in sorted(record.sources.items())
            )
            return "recovery", _with(f"{record.process} is {record.phase}", told)
        case LinkEnd():
            carried = f"after {record.carried_bytes} bytes to the client"
            return "link", f"connection {record.ordinal} of {record.link} was ended by the {record.by} {carried}"
        case Reference():
            return "reference", _with(f"how {record.run} ended", record.trouble or record.end_state)
        case Complaints():
            counted = ", ".join(f"{number} of {source}" for source, number in sorted(record.counted.items()))
            return "complaints", _with(f"{record.process} counted {counted or 'nothing'}", ", ".join(record.logged))
        case KeysLost():
            return "kv", f"{len(record.keys)} keys of {record.bucket} are lost: {', '.join(record.keys)}"


def _described_traffic(record: Op | KvEntry | StreamState | Resource | Request | ContainerEvent) -> tuple[str, str]:
    match record:
        case ContainerEvent():
            code = "" if record.exit_code is None else f" with exit code {record.exit_code}"
            return "container", f"{record.name} on {record.host}: {record.event}{code}: {record.image}, {record.id}"
        case Op():
            revision = "" if record.revision is None else f" at revision {record.revision}"
            took = f"{record.outcome}{revision}, invoked {record.invoked_s:.3f} s"
            return "operation", _with(f"{record.client}: {record.action} {record.target}: {took}", record.detail)
        case KvEntry():
            where = f"{record.bucket}/{record.key}"
            return (
                "kv",
                f"{record.operation} {where} revision {record.revision} after {record.previous} {record.value}",
            )
        case StreamState():
            counts = f"{record.messages} messages, sequences {record.first_seq} to {record.last_seq}"
            return "stream", f"{record.bucket} of {record.created_at}: {counts}, {record.consumers} consumers"
        case Resource():
            version = f"generation {record.generation}, resourceVersion {record.resource_version}"
            going = ", being deleted" if record.deleting else ""
            return (
                "resource",
                f"{record.kind} {record.name} {record.event}, {version}{going}; status {record.status}",
            )
        case Request():
            path = "/".join(part for part in (record.resource, record.name, record.subresource) if part)
            who = f"{record.user} ({record.user_agent})"
            return (
                "request",
                f"{record.verb} {path} by {who}: HTTP {record.code}, received {record.requested_s:.3f} s",
            )


def _with(what: str, detail: str) -> str:
    return f"{what}: {detail}" if detail else what


def _process_word(record: Process) -> str:
    if record.event == "exited":
        return exit_word(record)
    return f"got {record.signal or 'a signal'}" if record.event == "signalled" else record.event


def key_instants(history: History) -> tuple[tuple[Line, ...], int]:
    """The lines that tell the story, and how many more there are than are shown."""
    numbers = list(_key_numbers(history))
    shown = numbers[:KEY_INSTANTS_MAX]
    return tuple(line(history, number) for number in shown), len(numbers) - len(shown)


def _key_numbers(history: History) -> Iterator[int]:
    phase_of: dict[str, str] = {}
    for number, record in enumerate(history.records, start=1):
        match record:
            case Recovery() if phase_of.get(record.process) != record.phase:
                phase_of[record.process] = record.phase
                yield number
            case Process(event="spawned"):
                # A new life reports its phases anew.
                phase_of.pop(record.name, None)
                yield number
            case Gate(event="faulted" | "passed"):
                # As many as the product makes requests; the fault itself has a line.
                pass
            case Step() | Mark() | Process() | Fault() | Gate():
                yield number
            case _:
                pass
