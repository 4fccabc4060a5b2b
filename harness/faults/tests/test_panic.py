"""A panic in the path that writes status, and the reader of /readyz: with a program that patches when it is told to."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.devices.tests.broker import DEADLINE_S, Broker
from harness.env import Foundation
from harness.faults import panic as panic_module
from harness.faults.fault import mend, strike
from harness.faults.panic import ARMED_BY, StatusPanic, environment
from harness.faults.toothless import Toothless
from harness.history import Fault, Readiness
from harness.observers.readiness import ReadinessObserver
from harness.services.operator import OperatorProcess
from harness.wait import wait_for

# Patches a status of its own at GET /patch; what is raised there makes it unready.
PATCHES = """
import os
import aiohttp
from aiohttp import web

problem = []
host, _, port = os.environ["FLEET_HTTP_ADDR"].rpartition(":")

async def patch(request):
    path = request.query["path"]
    try:
        async with aiohttp.ClientSession() as session, session.patch(f"http://{host}:{port}{path}") as answer:
            return web.Response(text=str(answer.status))
    except Exception as e:
        problem.append(type(e).__name__)
        return web.Response(text=problem[-1])

async def recovery(_):
    return web.json_response({"phase": "Converged", "sources": {}})

async def readyz(_):
    return web.Response(status=503 if problem else 200, text="".join(problem) or "ok")

async def stored(_):
    return web.Response(text="{}")

app = web.Application()
app.router.add_get("/patch", patch)
app.router.add_get("/recovery", recovery)
app.router.add_get("/readyz", readyz)
app.router.add_patch("/{path:.*}", stored)
web.run_app(app, host=host, port=int(port), print=None)
"""
STATUS = "/deployments/a/status"


class Operators:
    """Starts lives of that program, and ends them all."""

    def __init__(self, foundation: Foundation, broker: Broker, folder: Path) -> None:
        self.settings = environment(folder, "life")
        self.lives: list[OperatorProcess] = []
        self._foundation = foundation
        self._broker = broker
        self._folder = folder

    async def start(self) -> OperatorProcess:
        operator = await OperatorProcess.start(
            [sys.executable, "-c", PATCHES],
            name=f"operator-{len(self.lives) + 1}",
            nats_url="",
            kubeconfig=self._folder / "none",
            namespace="none",
            folder=self._folder,
            warden=self._foundation.warden,
            recorder=self._broker.recorder,
            extra=self.settings,
        )
        self.lives.append(operator)
        await operator.wait_answering(DEADLINE_S)
        return operator

    async def patch(self, path: str = STATUS) -> str:
        return (await self.lives[-1].get(f"/patch?path={path}"))[1]

    async def close(self) -> None:
        for life in self.lives:
            await life.close()


@pytest.fixture
async def operators(foundation: Foundation, broker: Broker, tmp_path: Path) -> AsyncIterator[Operators]:
    operators = Operators(foundation, broker, tmp_path)
    await operators.start()
    yield operators
    await operators.close()


def panic(operators: Operators, ordinal: int = 1) -> StatusPanic:
    return StatusPanic("operator-1", operators.settings, ordinal, provoke=operators.patch, restart=operators.start)


def events(broker: Broker) -> list[str]:
    return [fault.event for fault in broker.recorder.history().of(Fault)]


async def test_raised_and_started_again(broker: Broker, operators: Operators) -> None:
    """The proof names the request; the next life is left alone."""
    fault = panic(operators)
    await strike(fault, broker.recorder)
    assert "at status patch 1: PATCH http://127.0.0.1" in broker.recorder.history().of(Fault)[-1].detail
    await mend(fault, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]
    assert fault.successor is operators.lives[1]
    assert await operators.patch() == "200"


async def test_only_the_nth_status_patch(operators: Operators) -> None:
    """Before it is armed nothing counts; then other patches do not, and the one after it is sound again."""
    assert await operators.patch() == "200"
    fault = panic(operators, 2)
    await fault.apply()
    answers = [await operators.patch(path) for path in ("/deployments/a", STATUS, "/devices/a/status", STATUS, STATUS)]
    assert answers == ["200", "200", "200", "InjectedPanicError", "200"]


async def test_toothless(broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the file nothing is raised, and that is seen."""
    monkeypatch.setattr(panic_module, "RAISED_WITHIN_S", 0.2)
    await strike(Toothless(panic(operators)), broker.recorder)
    assert events(broker) == ["applied", "unproved"]


async def test_not_started_again(broker: Broker, operators: Operators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal that starts nobody is not proved."""
    fault = panic(operators)
    await strike(fault, broker.recorder)
    monkeypatch.setattr(fault, "heal", _nothing)
    await mend(fault, broker.recorder)
    assert events(broker)[-1] == "unproved"


async def _nothing() -> None:
    """A heal that does nothing."""


def test_the_environment_names_a_file_of_the_folder(tmp_path: Path) -> None:
    """One for each life, so that a life can be armed before it begins."""
    first, second = environment(tmp_path, "1"), environment(tmp_path, "2")
    assert Path(first[ARMED_BY]).parent == tmp_path
    assert first[ARMED_BY] != second[ARMED_BY]


async def test_readiness_is_followed_until_the_end(broker: Broker, operators: Operators) -> None:
    """Each change of what /readyz says, once; then silence."""
    operator = operators.lives[0]
    async with ReadinessObserver(operator, broker.recorder) as observer:
        await said(broker, 200)
        await strike(panic(operators), broker.recorder)
        await said(broker, 503)
        await operator.process.kill()
        await said(broker, 0)
        await observer.close()
    told = [(r.process, r.status, r.text) for r in broker.recorder.history().of(Readiness)]
    name = operator.process.name
    assert told == [(name, 200, "ok"), (name, 503, "InjectedPanicError"), (name, 0, "")]


async def said(broker: Broker, status: int) -> None:
    def probe() -> bool | None:
        return True if status in [r.status for r in broker.recorder.history().of(Readiness)] else None

    await wait_for(f"/readyz to say {status}", probe, deadline_s=DEADLINE_S)
