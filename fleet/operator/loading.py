"""Folds what buckets bring in the first replay, many keys at once: several times as fast as one by one, and the same.

While Deployments are held back (`deployments_last`) nothing that a bucket brings concerns anything else: a key that is
new, with a value that can be read, is noted and no more. Each of these says no, and has changed nothing, if that is not
so for one of them; then they are to be folded one by one.
"""

from datetime import UTC, datetime

from fleet.bus.entry import Entries
from fleet.errors import WireError
from fleet.operator.decoding import DesiredDecoder, are_heartbeats, decode_all_labels, decode_reports
from fleet.operator.keys import PairKeys
from fleet.operator.state import Cell, FleetState


def load_desired(state: FleetState, keys: PairKeys, decoder: DesiredDecoder, entries: Entries) -> bool:
    values = _values(state, entries)
    if values is None:
        return False
    try:
        pairs = list(map(keys.of_desired_key, entries.keys))
        desired = decoder.decode_all(values)
    except WireError:
        return False
    cells = [Cell(revision, value, False) for revision, value in zip(entries.revisions, desired, strict=True)]
    return state.load_desired(dict(zip(pairs, cells, strict=True)), len(entries))


def load_reports(state: FleetState, keys: PairKeys, entries: Entries) -> bool:
    values = _values(state, entries)
    reports = None if values is None else decode_reports(values)
    if reports is None:
        return False
    try:
        pairs = list(map(keys.of_state_key, entries.keys))
    except WireError:
        return False
    for report, at_s in zip(reports, entries.times_s, strict=True):
        if report.last_event_at > datetime.fromtimestamp(at_s, UTC):
            return False
    return state.load_reports(dict(zip(pairs, reports, strict=True)), len(entries))


def load_beats(state: FleetState, keys: PairKeys, entries: Entries) -> bool:
    values = _values(state, entries)
    if values is None or not are_heartbeats(values):
        return False
    try:
        devices = list(map(keys.of_heartbeat_key, entries.keys))
    except WireError:
        return False
    return state.liveness.load(dict(zip(devices, entries.times_s, strict=True)), len(entries))


def load_infos(state: FleetState, keys: PairKeys, entries: Entries) -> bool:
    values = _values(state, entries)
    labels = None if values is None else decode_all_labels(values)
    if labels is None:
        return False
    try:
        devices = list(map(keys.of_info_key, entries.keys))
    except WireError:
        return False
    state.introduce_all(dict(zip(devices, labels, strict=True)))
    return True


def _values(state: FleetState, entries: Entries) -> list[bytes] | None:
    """The values, if this is the first replay and nothing was deleted or is gone."""
    if not state.loading:
        return None
    values = [value for value in entries.values if value is not None]
    return values if len(values) == len(entries) else None
