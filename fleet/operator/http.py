"""The operator's HTTP face: /healthz, /readyz, /recovery, /metrics."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from aiohttp import web

from fleet.errors import SettingsError
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.sweep import HeldSweep


@dataclass(slots=True)
class Health:
    """Why the operator is not healthy, if it is not. Set before the process ends, so that readiness goes first."""

    problem: str | None = None
    # What was found of each bucket's configuration and cannot be mended.
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sweep: HeldSweep | None = None


class HttpFace:
    """Serves until closed. `late` says by how many seconds the status tick is overdue, 0 if it is not."""

    def __init__(self, recovery: Recovery, metrics: Metrics, health: Health, late_s: Callable[[], float]) -> None:
        self._recovery = recovery
        self._metrics = metrics
        self._health = health
        self._late_s = late_s
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; the address that was taken. Raises SettingsError if it cannot be."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/recovery", self._recovery_json)
        app.router.add_get("/metrics", self._metrics_text)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as e:
            await self._runner.cleanup()
            raise SettingsError(f"FLEET_HTTP_ADDR: cannot listen on {host}:{port}: {e.strerror or e}") from e
        taken = self._runner.addresses[0]
        return f"{taken[0]}:{taken[1]}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _problem(self) -> str | None:
        late_s = self._late_s()
        if self._health.problem is None and late_s > 0:
            return f"the status tick is {late_s:.0f} s late"
        return self._health.problem

    async def _healthz(self, _: web.Request) -> web.Response:
        problem = self._problem()
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        problem = self._problem()
        if problem is None and not self._recovery.converged:
            problem = "recovering"
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    async def _recovery_json(self, _: web.Request) -> web.Response:
        health = self._health
        body = self._recovery.as_json() | {
            "problem": self._problem(),
            "notes": [note for notes in health.notes.values() for note in notes],
            "sweep": None if health.sweep is None else asdict(health.sweep),
        }
        return web.Response(text=json.dumps(body), content_type="application/json")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(self._recovery), content_type="text/plain", charset="utf-8")
