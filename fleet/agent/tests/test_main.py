"""The agent as a process, with neither a broker nor podman: it waits for both, for the lock, and for a signal."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

WITHIN_S = 20.0
Start: TypeAlias = Callable[[], Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts one more agent of the same device; none outlives the test."""
    async with AsyncExitStack() as stack:

        async def one() -> Process:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fleet", "agent", "run"),
                stdout=PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={
                    "PATH": os.defpath,
                    # A port that nobody can listen on.
                    "FLEET_NATS_URL": "nats://127.0.0.1:1",
                    "FLEET_DEVICE_ID": "edge-1",
                    "FLEET_ROOT": str(tmp_path),
                    "FLEET_PODMAN_SOCKET": str(tmp_path / "nobody.sock"),
                },
            )
            stack.push_async_callback(_killed, process)
            return process

        yield one


async def _killed(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def said(process: Process, *events: str) -> None:
    """Until each of these stood in a line of its log, in any order."""
    missing = set(events)
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        while missing:
            line = await process.stdout.readline()
            assert line, f"ended without saying {missing}"
            missing.discard(json.loads(line).get("event"))


async def ended(process: Process) -> int:
    async with asyncio.timeout(WITHIN_S):
        return await process.wait()


@pytest.mark.rule("A32", "A33")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_waits_for_who_is_away_and_ends_in_good_order(start: Start, number: signal.Signals) -> None:
    """Broker and runtime are both away: it says so and lives on; a signal ends it with 0."""
    agent = await start()
    await said(agent, "started", "nats_error", "runtime_away")
    assert agent.returncode is None
    agent.send_signal(number)
    assert await ended(agent) == 0


@pytest.mark.rule("A30", "A33")
async def test_one_acts_and_the_next_one_waits(start: Start) -> None:
    """The second agent of a device starts nothing before the first is dead; waiting, it ends with 0 as well."""
    first = await start()
    await said(first, "started")
    second, third = await start(), await start()
    for waiting in (second, third):
        await said(waiting, "waiting_for_device_lock")
    third.terminate()
    assert await ended(third) == 0
    first.kill()
    await said(second, "started")
