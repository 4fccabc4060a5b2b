"""The fault point before podman: requests pass, are held, or are met with silence; and the faults that stand there."""

import asyncio

import pytest

from harness.errors import ServiceError
from harness.faults.cable_out import CableOut
from harness.faults.fault import Fault, mend, strike
from harness.faults.podman_away import PodmanAway, PodmanSilent
from harness.faults.power_cut import PowerCut
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.history import Gate, Recorder
from harness.services.device_host import DeviceHost
from harness.services.gate_rules import Rule
from harness.services.podman_gate import PodmanGate
from harness.tests.conftest import NewHost

pytestmark = pytest.mark.needs("podman")

LIST = Rule("list", "GET", "/containers/json")
REQUEST = b"GET /v4.0.0/libpod/containers/json HTTP/1.0\r\nHost: d\r\n\r\n"
DEADLINE_S = 10.0


async def ask(gate: PodmanGate) -> bytes:
    """The first line of the answer, nothing if the connection ended without one."""
    reader, writer = await asyncio.open_unix_connection(gate.socket)
    try:
        writer.write(REQUEST)
        async with asyncio.timeout(DEADLINE_S):
            return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def told(recorder: Recorder) -> list[tuple[str, str]]:
    return [(gate.rule, gate.event) for gate in recorder.history().of(Gate)]


async def test_requests_pass_and_are_told(host: DeviceHost, recorder: Recorder) -> None:
    """Whether podman answers or is away; nothing of the gate is left."""
    async with PodmanGate(host, recorder) as gate:
        assert b" 200 " in await ask(gate)
        await host.stop_podman()
        assert await ask(gate) == b""
        assert told(recorder) == [("podman", "passed"), ("podman", "faulted")]
    assert not gate.socket.exists()


async def test_held_request(host: DeviceHost, recorder: Recorder) -> None:
    """It reaches podman when it is released, never if it is dropped; and is held though its client has gone."""
    async with PodmanGate(host, recorder) as gate:
        for release in (True, False):
            held = gate.hold(LIST)
            asking = asyncio.create_task(ask(gate))
            await held.reached(DEADLINE_S)
            assert not asking.done()
            if release:
                held.release()
            else:
                held.drop()
            assert (b" 200 " in await asking) is release
        held = gate.hold(LIST)
        asking = asyncio.create_task(ask(gate))
        await held.reached(DEADLINE_S)
        # Its connection would keep the machine's network.
        await host.power_cut()
        held.drop()
        await asking
    assert told(recorder) == [
        *[("list", "held"), ("list", "released"), ("podman", "passed")],
        *[("list", "held"), ("list", "dropped")] * 2,
    ]


async def test_withheld_answer(host: DeviceHost, recorder: Recorder) -> None:
    """The request reaches podman, and its answer nobody."""
    async with PodmanGate(host, recorder) as gate:
        gate.withheld = LIST
        assert await ask(gate) == b""
        assert await gate.ping(DEADLINE_S) is not None
    assert told(recorder) == [("podman", "passed")] * 2


async def test_faults_bite_and_heal(new_host: NewHost, recorder: Recorder) -> None:
    """Each is proved; one that does nothing is not."""
    host = await new_host("device-1", "127.0.0.1:9")
    async with PodmanGate(host, recorder) as gate:
        faults: list[Fault] = [
            PodmanAway(host),
            PodmanAway(host, "killed"),
            PodmanSilent(host, gate),
            CableOut(host),
            PowerCut(host),
        ]
        for fault in faults:
            await strike(Toothless(fault), recorder)
            await strike(fault, recorder)
            await mend(fault, recorder)
    events = [fault.event for fault in recorder.history().of(FaultRecord)]
    assert events == ["applied", "unproved", "applied", "proved-active", "healed", "proved-healed"] * len(faults)


async def test_a_machine_without_a_network_has_no_cable(host: DeviceHost) -> None:
    """That is said before anything is tried."""
    with pytest.raises(ServiceError, match="device-1 has no network"):
        CableOut(host)
