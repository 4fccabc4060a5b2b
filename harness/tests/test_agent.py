"""An agent lives on its device host: with podman, a folder and NATS, and no longer than its power."""

import asyncio
import sys

import pytest

from harness.services.agent import start_agent
from harness.tests.conftest import NewHost
from harness.wait import wait_for

pytestmark = pytest.mark.needs("podman")

WITHIN_S = 20.0
QUIET_S = 0.2

AGENT = """
import os, socket, sys, time
print(os.environ["FLEET_DEVICE_ID"], os.environ["FLEET_LABELS"], os.environ["FLEET_TICK_S"], flush=True)
podman = socket.socket(socket.AF_UNIX)
podman.connect(os.environ["FLEET_PODMAN_SOCKET"])
open(os.environ["FLEET_ROOT"] + "/file", "w").close()
host, port = os.environ["FLEET_NATS_URL"].removeprefix("nats://").rsplit(":", 1)
nats = socket.create_connection((host, int(port)))
while True:
    nats.sendall(b"x")
    time.sleep(0.01)
"""


async def test_an_agent_reaches_nats_through_the_cable(new_host: NewHost) -> None:
    """It has podman, a folder and NATS; a cut cable holds its bytes up, a mended one lets them through."""
    heard = 0

    async def nats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while data := await reader.read(4096):
            heard += len(data)
        writer.close()

    async def more() -> None:
        since = heard
        await wait_for("bytes", lambda: True if heard > since else None, deadline_s=WITHIN_S)

    async with await asyncio.start_server(nats, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        host = await new_host("edge.1", address)
        command = [sys.executable, "-c", AGENT]
        agent = await start_agent(
            command, host, name="agent-1", labels={"a": "b", "c": "d"}, extra={"FLEET_TICK_S": "9"}
        )
        await agent.wait_log("^edge.1 a=b,c=d 9$", since=0, deadline_s=WITHIN_S)
        await more()
        assert (host.root / "file").exists()
        assert host.link is not None
        await host.link.cut()
        before = -1

        def quiet() -> bool | None:
            """Once what was on its way has arrived."""
            nonlocal before
            before, since = heard, before
            return True if heard == since else None

        await wait_for("the bytes to stop", quiet, deadline_s=WITHIN_S, interval_s=QUIET_S)
        await host.link.mend()
        await more()
        await agent.kill()
        again = await start_agent(command, host, name="agent-2")
        await more()
        await host.power_cut()
        assert again.exit_code == -9
        await host.power_on()
        await start_agent(command, host, name="agent-3")
        await more()
        await host.close()
