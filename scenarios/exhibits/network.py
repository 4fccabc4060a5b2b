"""Faults of the network below a process."""

from contextlib import AsyncExitStack

from harness.faults import blackhole as network
from harness.faults.blackhole import Blackhole
from harness.faults.fault import Fault
from harness.services.veth_link import veth_link
from scenarios.exhibits.exhibit import Exhibit, Stage


async def blackhole(stage: Stage) -> Fault:
    env = stage.env
    ending = AsyncExitStack()
    link = await ending.enter_async_context(
        veth_link("broker-cable", env.nats.address, warden=env.foundation.warden, recorder=env.recorder)
    )
    return Blackhole(link, ending)


NETWORK: tuple[Exhibit, ...] = (
    Exhibit(
        "blackhole", "packets between a network namespace and the broker are lost", blackhole, (network.CAPABILITY,)
    ),
)
