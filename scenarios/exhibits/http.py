"""Faults of the API server's answers, and of the path that writes status."""

import asyncio
from functools import partial

from fleet.wire import Phase
from harness.faults.fault import Fault
from harness.faults.http_hold import HttpHold
from harness.faults.http_point import EVERYTHING, LISTS, STATUS_PATCHES, WATCHES
from harness.faults.panic import StatusPanic, environment
from scenarios.exhibits.exhibit import Exhibit, Stage
from scenarios.worlds.apiserver_trouble import (
    Make,
    cut,
    garbage,
    hang_up,
    point,
    slow,
    status,
    watch_dropped,
    watch_dropped_after_bytes,
    watch_expired,
    watch_expired_event,
)
from scenarios.worlds.fleet import CONVERGE_S

_LIFE = "exhibit"


async def hold(stage: Stage) -> Fault:
    return HttpHold(point(stage.env), STATUS_PATCHES, provoke=partial(_all_fail, stage))


async def hold_and_drop(stage: Stage) -> Fault:
    return HttpHold(point(stage.env), STATUS_PATCHES, drop=True, provoke=partial(_all_fail, stage))


async def status_panic(stage: Stage) -> Fault:
    """In an operator that was started for it; the one of the stage ends in good order first."""
    env, settings = stage.env, environment(stage.env.folder, _LIFE)
    await stage.operator.process.stop()
    await stage.operator.close()
    operator = await env.start_operator(settings)
    await operator.wait_converged(CONVERGE_S)
    return StatusPanic(
        operator.process.name, settings, 1, provoke=partial(_all_fail, stage), restart=env.start_operator
    )


async def _all_fail(stage: Stage) -> None:
    """Every status is to be patched."""
    async with asyncio.TaskGroup() as group:
        for pair in sorted(stage.devices.desired):
            group.create_task(stage.devices.report(pair, Phase.FAILED, "disk full"))


def _shown(name: str, does: str, make: Make) -> Exhibit:
    async def build(stage: Stage) -> Fault:
        return make(stage.env)

    return Exhibit(name, does, build)


HTTP: tuple[Exhibit, ...] = (
    *(
        _shown(f"http-{code}", f"every request is answered with {code}", status(code))
        for code in (401, 403, 410, 429, 500, 503)
    ),
    _shown("http-garbage-bytes", "lists are answered with bytes that are no JSON", garbage("bytes", LISTS)),
    _shown("http-garbage-shape", "watches are answered with JSON of a wrong shape", garbage("shape", WATCHES)),
    _shown(
        "http-garbage-utf8", "status patches are answered with text that is no UTF-8", garbage("utf8", STATUS_PATCHES)
    ),
    _shown("http-garbage-deep", "lists are answered with JSON nested without end", garbage("deep", LISTS)),
    _shown("http-garbage-html", "every request is answered with a page for people", garbage("html", EVERYTHING)),
    _shown(
        "http-garbage-not-http",
        "every request is answered with bytes that are no HTTP",
        garbage("not-http", EVERYTHING),
    ),
    _shown("http-garbage-cut", "lists break off in the middle", garbage("cut", LISTS)),
    _shown("http-slow", "lists come in drops", slow(LISTS)),
    _shown("http-hang-up", "every request loses its connection", hang_up),
    _shown("http-cut", "the operator's link to the API server is cut", cut),
    _shown("watch-dropped", "watches break after a moment", watch_dropped),
    _shown("watch-dropped-after-bytes", "watches break after some bytes", watch_dropped_after_bytes),
    _shown("watch-expired-as-answer", "watches are answered with 410", watch_expired),
    _shown("watch-expired-as-event", "watches begin with an event that says 410", watch_expired_event),
    Exhibit("http-hold", "a status patch stands still, and goes on", hold),
    Exhibit("http-hold-and-drop", "a status patch stands still, and is dropped", hold_and_drop),
    Exhibit("status-panic", "a status patch raises what nobody expects in the operator", status_panic),
)
