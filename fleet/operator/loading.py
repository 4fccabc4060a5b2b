"""Folds what the first replay brings, many keys or Devices at once: several times as fast as one by one, and the same.

While Deployments are held back (`deployments_last`) nothing of it concerns anything else: a key that is new, with a
value that can be read, is noted and no more, and so is a Device. Each of these says no, and has changed nothing, if
that is not so for one of them; then they are to be folded one by one.
"""

import operator
from collections.abc import Callable, Sequence
from typing import TypeVar

from fleet.bus.entry import Entries
from fleet.errors import WireError
from fleet.kube.objects import Device
from fleet.operator.decoding import DesiredDecoder, check_heartbeats, decode_all_labels, decode_reports
from fleet.operator.desired_keys import Cell
from fleet.operator.keys import PairKeys
from fleet.operator.state import FleetState
from fleet.wire import DeviceId

N = TypeVar("N")
V = TypeVar("V")


def load_devices(state: FleetState, devices: Sequence[Device]) -> bool:
    """Devices of a list."""
    return state.loading and state.load_devices({device.name: device for device in devices}, len(devices))


def load_desired(state: FleetState, keys: PairKeys, decoder: DesiredDecoder, entries: Entries) -> bool:
    """Keys of desired-state."""
    read = _read(state, keys.of_desired_keys, decoder.decode_all, entries)
    if read is None:
        return False
    pairs, desired = read
    cells = [Cell(revision, value, False) for revision, value in zip(entries.revisions, desired, strict=True)]
    state.load_desired(pairs, cells)
    return True


def load_reports(state: FleetState, keys: PairKeys, entries: Entries) -> bool:
    """Keys of device-state; none whose event is later than the broker's own time of it."""
    read = _read(state, keys.of_state_keys, decode_reports, entries)
    if read is None:
        return False
    pairs, reports = read
    # Both as numbers: rounded to the clock's microseconds, a time of the broker may be later than it is, never earlier.
    events_s = [report.last_event_at.timestamp() for report in reports]
    if any(map(operator.gt, events_s, entries.times_s)):
        return False
    state.load_reports(pairs, reports)
    return True


def load_beats(state: FleetState, keys: PairKeys, entries: Entries) -> bool:
    """Keys of device-heartbeat."""
    read = _read(state, keys.of_heartbeat_keys, check_heartbeats, entries)
    if read is None:
        return False
    devices, _ = read
    return state.liveness.load(dict(zip(devices, entries.times_s, strict=True)), len(entries))


def load_infos(state: FleetState, keys: PairKeys, heard: Callable[[DeviceId], None], entries: Entries) -> bool:
    """Keys of device-info; `heard` is told of each device."""
    read = _read(state, keys.of_info_keys, decode_all_labels, entries)
    if read is None:
        return False
    devices, labels = read
    state.introduce_all(dict(zip(devices, labels, strict=True)))
    for device in devices:
        heard(device)
    return True


def _read(
    state: FleetState,
    parse_keys: Callable[[Sequence[str]], list[N]],
    decode: Callable[[Sequence[bytes]], V],
    entries: Entries,
) -> tuple[list[N], V] | None:
    """What they name and hold, if this is the first replay, all can be read and nothing was deleted or is gone."""
    if not state.loading:
        return None
    values = [value for value in entries.values if value is not None]
    if len(values) != len(entries):
        return None
    try:
        return parse_keys(entries.keys), decode(values)
    except WireError:
        return None
