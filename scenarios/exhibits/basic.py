"""The faults of the beginning: a process killed or stopped, a link cut or slow."""

import signal

from harness.faults.cut import Cut
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.faults.latency import Latency
from harness.faults.stop import Stop
from scenarios.exhibits.exhibit import Exhibit, Stage


async def sigkill(stage: Stage) -> Fault:
    return Kill(stage.operator, stage.env.start_operator)


async def sigterm(stage: Stage) -> Fault:
    return Kill(stage.operator, stage.env.start_operator, signal.SIGTERM)


async def stop(stage: Stage) -> Fault:
    return Stop(stage.operator)


async def cut(stage: Stage) -> Fault:
    return Cut(stage.env.links.operator_nats)


async def latency(stage: Stage) -> Fault:
    return Latency(stage.env.links.operator_nats, latency_ms=400)


BASIC = (
    Exhibit("sigkill", "the operator dies at once and is started again", sigkill),
    Exhibit("sigterm", "the operator is told to end and is started again", sigterm),
    Exhibit("sigstop", "the operator stands still and goes on", stop),
    Exhibit("cut", "the operator's link to the broker is cut", cut),
    Exhibit("latency", "every answer of the broker comes late", latency),
)
