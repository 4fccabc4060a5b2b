"""What happened, in the order it happened: the one thing that checks judge and reports draw.

    Recorder -> history.jsonl -> History

Reports depend on this package and on nothing else of the harness.
"""

from harness.history.log import History, HistoryError, Recorder
from harness.history.records import (
    HAND,
    Argument,
    Complaints,
    ContainerEvent,
    Fault,
    Gate,
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
    VerdictOutcome,
    worst,
)

__all__ = [
    "HAND",
    "Argument",
    "Complaints",
    "ContainerEvent",
    "Fault",
    "Gate",
    "History",
    "HistoryError",
    "KeysLost",
    "KvEntry",
    "LinkEnd",
    "Mark",
    "Meta",
    "Op",
    "Process",
    "Readiness",
    "Record",
    "Recorder",
    "Recovery",
    "Reference",
    "Request",
    "Resource",
    "SourceProgress",
    "Step",
    "StreamState",
    "Trigger",
    "Verdict",
    "VerdictOutcome",
    "worst",
]
