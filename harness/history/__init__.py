"""What happened, in the order it happened: the one thing that checks judge and reports draw.

    Recorder -> history.jsonl -> History

Reports depend on this package and on nothing else of the harness.
"""

from harness.history.log import History, HistoryError, Recorder
from harness.history.records import (
    Argument,
    Fault,
    Gate,
    KvEntry,
    Mark,
    Meta,
    Op,
    Process,
    Record,
    Recovery,
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
    "Argument",
    "Fault",
    "Gate",
    "History",
    "HistoryError",
    "KvEntry",
    "Mark",
    "Meta",
    "Op",
    "Process",
    "Record",
    "Recorder",
    "Recovery",
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
