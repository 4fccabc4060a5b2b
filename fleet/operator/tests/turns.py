"""What the tests of both writers use: a recovery that holds or not, and a turn of the event loop."""

import asyncio

from fleet.operator.recovery import Recovery

DEADLINE_S = 5.0


def converged(recovery: Recovery, *, holds: bool = True) -> None:
    if holds:
        recovery.current("s")
    else:
        recovery.lost("s", "away")


async def turn() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
