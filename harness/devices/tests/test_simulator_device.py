"""What one simulated device makes of what it hears."""

from datetime import UTC, datetime, timedelta

import pytest

from fleet.wire import DeploymentName, DeviceState, Phase
from harness.devices.simulator.device import Act, Device
from harness.devices.simulator.line import Line
from harness.devices.simulator.plan import Plan
from harness.devices.tests.broker import desired_by

APP = DeploymentName("app")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
OTHER_BYTES = desired_by().encode().replace(b"app:1", b"app:2")


@pytest.fixture
def device() -> Device:
    """It runs generation 1 of `uid`."""
    device = _new()
    assert device.hear(APP, desired_by().encode()) is Act.REPORT
    return device


def test_it_reports_what_it_takes(device: Device) -> None:
    """Pending at first, then Running with a container for each service; each event later than the one before."""
    slot = device.slots[APP]
    pending = device.state(APP, NOW)
    slot.due = False
    slot.settle()
    running = device.state(APP, NOW - timedelta(hours=1))
    assert (pending.phase, dict(pending.container_ids)) == (Phase.PENDING, {})
    assert (running.phase, list(running.container_ids), slot.due) == (Phase.RUNNING, ["main"], True)
    assert running.last_event_at == NOW + timedelta(milliseconds=1)


def test_a_change_is_another_container_or_a_failure(device: Device) -> None:
    """The change after a failure mends it."""
    slot = device.slots[APP]
    slot.settle()
    ids = [device.state(APP, NOW).container_ids["main"]]
    slot.change(failed=False)
    ids.append(device.state(APP, NOW).container_ids["main"])
    slot.change(failed=True)
    assert device.state(APP, NOW).phase is Phase.FAILED
    slot.change(failed=True)
    state = device.state(APP, NOW)
    assert (state.phase, state.last_error) == (Phase.RUNNING, None)
    assert len({*ids, state.container_ids["main"]}) == 3


@pytest.mark.parametrize(
    ("word", "first"),
    [
        (desired_by().encode(), Act.NOTHING),
        (desired_by(generation=2).encode(), Act.REPORT),
        (OTHER_BYTES, Act.CONFIRM),
        (desired_by(uid="other", generation=9).encode(), Act.CONFIRM),
        (None, Act.CONFIRM),
        (b"{", Act.REPORT),
    ],
    ids=["same", "higher", "other-bytes", "other-uid", "marker", "malformed"],
)
def test_what_may_be_a_step_back_is_confirmed(device: Device, word: bytes | None, first: Act) -> None:
    """Only what steps forward is taken at once; what the leader confirms is."""
    assert device.hear(APP, word) is first
    if first is Act.CONFIRM:
        assert device.hear(APP, word, confirmed=True) is Act.REPORT


def test_a_lower_generation_is_confirmed(device: Device) -> None:
    """A late message never steps back."""
    device.hear(APP, desired_by(generation=3).encode())
    assert device.hear(APP, desired_by(generation=2).encode()) is Act.CONFIRM
    assert device.state(APP, NOW).owner.generation == 3


def test_a_malformed_one_is_refused_once(device: Device) -> None:
    """The report says so, of the last good one; the good one mends it, also with the same bytes as before."""
    assert [device.hear(APP, b"{"), device.hear(APP, b"{")] == [Act.REPORT, Act.NOTHING]
    state = device.state(APP, NOW)
    assert (state.phase, state.owner) == (Phase.FAILED, desired_by().owner)
    assert str(state.last_error).startswith("DesiredRefused: ")
    assert device.hear(APP, desired_by().encode()) is Act.REPORT
    assert device.state(APP, NOW).last_error is None


def test_nothing_is_said_about_what_it_never_had(device: Device) -> None:
    """A marker and a malformed value of another deployment make no report."""
    other = DeploymentName("other")
    assert device.hear(other, None) is Act.NOTHING
    assert device.hear(other, b"{") is Act.REFUSED
    assert other not in device.slots


def test_what_is_stored_is_not_said_again() -> None:
    """A report of an earlier run that still holds is left; one of another generation is not. Time never goes back."""
    first = _new()
    first.hear(APP, desired_by().encode())
    first.slots[APP].settle()
    stored = first.state(APP, NOW + timedelta(days=1))
    assert not _after(stored, desired_by().encode()).slots[APP].due
    newer = _after(stored, desired_by(generation=2).encode())
    assert newer.slots[APP].due
    assert newer.state(APP, NOW).last_event_at > stored.last_event_at


def test_a_report_that_is_not_found_deletes_nothing() -> None:
    """Of what it was told nothing about, the absence of a report is no reason to write; of the rest it writes anew."""
    device = _new()
    device.found(APP, 7, None)
    device.not_found(APP)
    assert not device.slots[APP].due
    device.hear(APP, desired_by().encode())
    device.slots[APP].due = False
    device.not_found(APP)
    assert (device.slots[APP].due, device.slots[APP].key.revision) == (True, None)


def test_the_end_of_time(device: Device) -> None:
    """An event that was stored for the last moment there is does not end the simulation."""
    end = datetime.max.replace(tzinfo=UTC)
    device.slots[APP].last_event_at = end
    assert device.state(APP, NOW).last_event_at == end


def _new() -> Device:
    line = Line("nats://127.0.0.1:1", came=lambda: None, went=lambda: None, recalled=lambda _: None)
    return Device(1, Plan.name(1), line)


def _after(stored: DeviceState, word: bytes) -> Device:
    """A new run's device, which found that and is told this."""
    device = _new()
    device.found(APP, 7, stored)
    device.hear(APP, word)
    return device
