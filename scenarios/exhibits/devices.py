"""Faults of devices."""

from harness.faults.fault import Fault
from harness.faults.power_off import PowerOff
from harness.faults.reports_gone import ReportsGone
from scenarios.exhibits.exhibit import SIZE, Exhibit, Stage


async def one(stage: Stage) -> Fault:
    return _power_off(stage, SIZE.device_names[:1])


async def everybody(stage: Stage) -> Fault:
    return _power_off(stage, SIZE.device_names)


async def reports_gone(stage: Stage) -> Fault:
    pairs = [pair for pair in stage.devices.reported if pair.device == SIZE.device_names[0]]
    return ReportsGone(stage.env.witnesses.buckets.client.jetstream(), pairs, stage.env.recorder)


def _power_off(stage: Stage, names: list[str]) -> Fault:
    return PowerOff(stage.env.witnesses.buckets.client.jetstream(), stage.devices, names)


DEVICES: tuple[Exhibit, ...] = (
    Exhibit("reports-gone", "what one device had reported is purged, and it reports again", reports_gone),
    Exhibit("power-off", "a device loses its power and gets it again", one),
    Exhibit("power-off-all", "all devices lose their power and get it again", everybody),
)
