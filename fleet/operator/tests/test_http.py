"""The HTTP face: what it says while recovering, converged, late and crashed."""

import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from fleet.errors import SettingsError
from fleet.operator.http import Health, HttpFace
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.sweep import HeldSweep


class Served:
    def __init__(self) -> None:
        self.recovery = Recovery(["s"], ["beside"])
        self.health = Health()
        self.late_s = 0.0
        self.face = HttpFace(self.recovery, Metrics(), self.health, lambda: self.late_s)
        self.address = ""

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.address}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    served.address = await served.face.start("127.0.0.1", 0)
    try:
        yield served
    finally:
        await served.face.close()


@pytest.mark.rule("R2")
async def test_recovering_is_alive_and_not_ready(served: Served) -> None:
    """A cold start is healthy; it is ready once converged, and not any longer when that is revoked."""
    assert await served.get("/healthz") == (200, "ok")
    assert await served.get("/readyz") == (503, "recovering")
    served.recovery.current("s")
    assert await served.get("/readyz") == (200, "ok")
    served.recovery.lost("s", "away")
    assert await served.get("/readyz") == (503, "recovering")


@pytest.mark.rule("P1")
async def test_a_problem_is_said(served: Served) -> None:
    """A crash makes it unhealthy and unready, with the reason."""
    served.recovery.current("s")
    served.health.problem = "devices crashed: ZeroDivisionError"
    for path in ("/healthz", "/readyz"):
        assert await served.get(path) == (503, "devices crashed: ZeroDivisionError")


async def test_a_late_tick_is_a_problem(served: Served) -> None:
    """A tick that hangs is told with how long; a crash goes first."""
    served.recovery.current("s")
    served.late_s = 12.4
    assert await served.get("/healthz") == (503, "the status tick is 12 s late")
    served.health.problem = "crashed"
    assert await served.get("/healthz") == (503, "crashed")


async def test_recovery_as_json(served: Served) -> None:
    """Progress of each source, the problem and the notes."""
    served.health.notes = {"x": ("bucket x is stored in memory, not in file",), "y": ()}
    served.recovery.expecting("s", 7)
    served.recovery.saw("s")
    code, text = await served.get("/recovery")
    answer = json.loads(text)
    assert code == 200
    assert answer["phase"] == "Recovering"
    assert (answer["sources"]["s"]["seen"], answer["sources"]["s"]["expected"]) == (1, 7)
    assert (answer["problem"], answer["notes"]) == (None, ["bucket x is stored in memory, not in file"])
    assert answer["sweep"] is None


@pytest.mark.rule("B4")
async def test_a_held_sweep_is_shown(served: Served) -> None:
    """Its id, which `fleet approve-sweep` takes, with how many keys, some of them, and why."""
    served.health.sweep = HeldSweep("3f2a9c01b7de", 30, ("d1.web",), "30 of 40 keys would go")
    _, text = await served.get("/recovery")
    assert json.loads(text)["sweep"] == {
        "id": "3f2a9c01b7de",
        "count": 30,
        "examples": ["d1.web"],
        "reason": "30 of 40 keys would go",
    }


@pytest.mark.rule("P2")
async def test_trouble_is_shown(served: Served) -> None:
    """Of each source, also of one that readiness does not wait for; a healthy operator it is all the same."""
    served.recovery.lost("s", "410 Expired")
    served.recovery.lost("beside", "bucket gone")
    _, text = await served.get("/recovery")
    sources = json.loads(text)["sources"]
    assert {name: (source["trouble"], source["gates"]) for name, source in sources.items()} == {
        "s": ("410 Expired", True),
        "beside": ("bucket gone", False),
    }
    assert await served.get("/healthz") == (200, "ok")


async def test_metrics_are_up_to_date(served: Served) -> None:
    """The gauges follow the recovery at each scrape."""
    served.recovery.current("s")
    code, text = await served.get("/metrics")
    assert code == 200
    assert "fleet_recovery_converged 1.0" in text
    assert 'fleet_recovery_source_current{source="s"} 1.0' in text


async def test_an_occupied_port_is_one_line() -> None:
    """The address and the system's reason; nothing is left listening."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"FLEET_HTTP_ADDR: cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            await Served().face.start("127.0.0.1", port)


async def test_a_host_that_is_not_ours_is_one_line() -> None:
    """A name that does not resolve is a setting, not a crash."""
    with pytest.raises(SettingsError, match=r"FLEET_HTTP_ADDR: cannot listen on no\.such\.host\.invalid:0"):
        await Served().face.start("no.such.host.invalid", 0)


async def test_closing_what_never_listened_is_harmless() -> None:
    """`close` before `start` does nothing."""
    await Served().face.close()
