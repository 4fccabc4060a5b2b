"""Lanes of what is many: writes and patches, counted by bin, so that ten events and a million draw alike.

Pure: History -> BarLane.
"""

from collections.abc import Sequence

from harness.history import History, KvEntry, Op, Request
from reports.html.model import BarLane, Style
from reports.html.scale import Bins, tick_label

DEVICE_WRITE = "put device-state"
DESIRED_BUCKET = "desired-state"


def device_writes_lane(history: History, bins: Bins) -> BarLane:
    """Device-state writes as their clients saw them: acknowledged above, failed or unknown below."""
    writes = [op for op in history.of(Op) if op.action == DEVICE_WRITE]
    return _lane(
        "Device writes",
        bins,
        ("acknowledged", [op.at_s for op in writes if op.outcome == "ok"]),
        ("failed or unknown", [op.at_s for op in writes if op.outcome != "ok"]),
        per_second=True,
    )


def desired_writes_lane(history: History, bins: Bins) -> BarLane:
    """What the operator stored for devices: puts above, delete markers below."""
    entries = [entry for entry in history.of(KvEntry) if entry.bucket == DESIRED_BUCKET]
    return _lane(
        "Desired-state writes",
        bins,
        ("puts", [entry.at_s for entry in entries if entry.operation == "put"]),
        ("deletes", [entry.at_s for entry in entries if entry.operation == "delete"]),
        down_style="delete",
    )


def status_patches_lane(history: History, bins: Bins) -> BarLane:
    """Status patches the API server answered, at the time it got them: accepted above, refused below."""
    patches = [r for r in history.of(Request) if r.verb == "patch" and r.subresource == "status"]
    return _lane(
        "Status patches",
        bins,
        ("accepted", [r.requested_s for r in patches if r.code // 100 == 2]),  # noqa: PLR2004 - HTTP's 2xx
        ("refused", [r.requested_s for r in patches if r.code // 100 != 2]),  # noqa: PLR2004 - as above
    )


def other_operations_lane(history: History, bins: Bins) -> BarLane | None:
    """Everything else that clients did (an admin's edits, say); None if there was nothing."""
    ops = [op for op in history.of(Op) if op.action != DEVICE_WRITE]
    if not ops:
        return None
    return _lane(
        "Other operations",
        bins,
        ("done", [op.at_s for op in ops if op.outcome == "ok"]),
        ("failed or unknown", [op.at_s for op in ops if op.outcome != "ok"]),
    )


def _lane(
    label: str,
    bins: Bins,
    above: tuple[str, Sequence[float]],
    below: tuple[str, Sequence[float]],
    *,
    per_second: bool = False,
    down_style: Style = "bad",
) -> BarLane:
    up, down = bins.counts(above[1]), bins.counts(below[1])
    counted = f"{len(above[1]):,} {above[0]}", f"{len(below[1]):,} {below[0]}"
    peak = max(*up, *down)
    unit = f"peak {peak / bins.width_s:,.0f}/s" if per_second else f"peak {peak:,} in {tick_label(bins.width_s)} s"
    if not peak:
        return BarLane(label, ("none",), "none", above[0], below[0], bins.width_s, up, down, down_style=down_style)
    notes = (*(text for text, (_, times) in zip(counted, (above, below), strict=True) if times), unit)
    summary = f"{', '.join(counted)}, {unit}"
    return BarLane(label, notes, summary, above[0], below[0], bins.width_s, up, down, down_style=down_style)
