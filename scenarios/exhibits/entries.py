"""Malformed entries, and clocks that are wrong."""

from collections.abc import Awaitable, Callable
from functools import partial

from fleet.wire import Bucket, Phase, desired_key, state_key
from harness.faults.clock import ClockSkew
from harness.faults.fault import Fault
from harness.faults.malformed import PlantedEntries, by_itself
from harness.faults.unstored_word import UnstoredWord
from scenarios.exhibits.exhibit import Exhibit, Stage

HOURS_S = 3600.0
YEARS_S = 365.25 * 24 * HOURS_S
GARBAGE = b'{"phase":"Dancing"'


def planted(stage: Stage, bucket: Bucket, key: str, cure: Callable[[], Awaitable[None]] | None = None) -> Fault:
    js = stage.env.witnesses.buckets.client.jetstream()
    return PlantedEntries(js, stage.env.recorder, bucket, {key: GARBAGE}, cure=cure)


async def desired(stage: Stage) -> Fault:
    return planted(stage, Bucket.DESIRED_STATE, desired_key(min(stage.devices.reported)), by_itself)


async def state(stage: Stage) -> Fault:
    pair = min(stage.devices.reported)
    return planted(stage, Bucket.DEVICE_STATE, state_key(pair), partial(stage.devices.report, pair, Phase.RUNNING))


async def info(stage: Stage) -> Fault:
    return planted(stage, Bucket.DEVICE_INFO, "info.device-of-nobody")


async def heartbeat(stage: Stage) -> Fault:
    return planted(stage, Bucket.DEVICE_HEARTBEAT, "heartbeat.device-of-nobody")


async def odd_key(stage: Stage) -> Fault:
    return planted(stage, Bucket.DESIRED_STATE, "A_key-that.names*nothing")


async def unstored(stage: Stage) -> Fault:
    js = stage.env.witnesses.buckets.client.jetstream()
    return UnstoredWord(js, min(stage.devices.reported), None, "refused")


async def clock(stage: Stage, *offs_s: float) -> Fault:
    js = stage.env.witnesses.buckets.client.jetstream()
    return ClockSkew(js, stage.devices, [stage.devices.ids[0]], offs_s)


ENTRIES: tuple[Exhibit, ...] = (
    Exhibit("malformed-entry-desired", "garbage stands in desired-state until the operator rewrites it", desired),
    Exhibit("malformed-entry-state", "garbage stands where a device had reported, until it reports again", state),
    Exhibit("malformed-entry-info", "garbage stands in device-info until it is deleted", info),
    Exhibit("malformed-entry-heartbeat", "garbage stands in device-heartbeat until it is deleted", heartbeat),
    Exhibit("malformed-entry-key", "a value stands under a key that names nothing, until it is deleted", odd_key),
    Exhibit("unstored-word", "a delete marker is sent to a bucket, which refuses it", unstored),
    Exhibit("clock-skew-ahead", "a device's clock is 73 years ahead", lambda s: clock(s, 73 * YEARS_S)),
    Exhibit("clock-skew-behind", "a device's clock is 40 years behind", lambda s: clock(s, -40 * YEARS_S)),
    Exhibit("clock-skew-hours", "a device's clock is three hours behind", lambda s: clock(s, -3 * HOURS_S)),
    Exhibit("clock-skew-jumping", "a device's clock jumps by hours", lambda s: clock(s, 3 * HOURS_S, -3 * HOURS_S)),
)
