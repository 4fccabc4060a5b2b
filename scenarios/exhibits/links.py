"""Faults of a link, by toxiproxy."""

from harness.faults.bandwidth import Bandwidth
from harness.faults.fault import Fault
from harness.faults.limit_data import LimitData
from harness.faults.reset import Reset
from harness.faults.slicer import Slicer
from harness.faults.timeout import Timeout
from scenarios.exhibits.exhibit import Exhibit, Stage


async def bandwidth(stage: Stage) -> Fault:
    return Bandwidth(stage.env.links.operator_nats, rate_kb_s=20)


async def slicer(stage: Stage) -> Fault:
    return Slicer(stage.env.links.operator_nats, size_bytes=64, pause_us=500)


async def limit_data(stage: Stage) -> Fault:
    return LimitData(stage.env.links.operator_nats, limit_bytes=3000)


async def reset(stage: Stage) -> Fault:
    return Reset(stage.env.links.operator_nats)


async def timeout(stage: Stage) -> Fault:
    return Timeout(stage.env.links.operator_nats)


LINKS: tuple[Exhibit, ...] = (
    Exhibit("bandwidth", "the link to the broker carries 20 kB/s", bandwidth),
    Exhibit("slicer", "what the broker sends comes in small pieces with pauses", slicer),
    Exhibit("limit-data", "each connection to the broker is closed after 3,000 bytes", limit_data),
    Exhibit("reset", "each connection to the broker is reset", reset),
    Exhibit("timeout", "connections to the broker stay, and nothing comes any more", timeout),
)
