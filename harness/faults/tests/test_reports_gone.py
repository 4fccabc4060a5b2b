"""Reports that vanish from device-state: by the broker's count, told in the history, healed when they are back."""

import pytest

from fleet.wire import Bucket, kv_subject, state_key
from harness.checks.tests.story import report
from harness.devices.tests.broker import Broker, pair_of
from harness.faults import reports_gone
from harness.faults.fault import mend, strike
from harness.faults.reports_gone import ReportsGone
from harness.faults.tests.links import PROVED, proved_without_teeth
from harness.history import Fault as FaultRecord

PAIRS = [pair_of("device-0"), pair_of("device-1")]


async def reported(broker: Broker) -> None:
    for pair in [*PAIRS, pair_of("device-2")]:
        await broker.js.publish(kv_subject(Bucket.DEVICE_STATE, state_key(pair)), report().encode())


async def test_gone_and_reported_again(broker: Broker) -> None:
    """These pairs alone; each is told as a delete."""
    await broker.make()
    await reported(broker)
    fault = ReportsGone(broker.js, PAIRS, broker.recorder)
    await strike(fault, broker.recorder)
    assert await broker.messages(Bucket.DEVICE_STATE) == 1
    assert [op.target for op in broker.ops("ok")] == ["device-0.app", "device-1.app"]
    await reported(broker)
    await mend(fault, broker.recorder)
    assert [record.event for record in broker.recorder.history().of(FaultRecord)] == PROVED


async def test_nothing_to_take_and_nothing_back(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was never reported cannot go; what nobody reports again is not healed; without teeth nothing is proved."""
    monkeypatch.setattr(reports_gone, "REPORTED_WITHIN_S", 0.2)
    await broker.make()
    await strike(ReportsGone(broker.js, PAIRS, broker.recorder), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"
    await reported(broker)
    assert not await proved_without_teeth(broker, ReportsGone(broker.js, PAIRS, broker.recorder))
    fault = ReportsGone(broker.js, PAIRS, broker.recorder)
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    events = [record.event for record in broker.recorder.history().of(FaultRecord)]
    assert events[-4:] == ["applied", "proved-active", "healed", "unproved"]
