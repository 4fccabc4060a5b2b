"""Troubles of an API server, as scenarios and exhibits make them for an environment."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from harness.env import Environment
from harness.faults.fault import Fault
from harness.faults.http_cut import HttpCut
from harness.faults.http_garbage import Garbage, HttpGarbage
from harness.faults.http_hangup import HttpHangUp
from harness.faults.http_point import EVERYTHING, HttpPoint, Scope
from harness.faults.http_slow import HttpSlow
from harness.faults.http_status import HttpStatus
from harness.faults.http_watch import WatchDropped, WatchExpired

Make = Callable[[Environment], Fault]

_DROPPED_AFTER_S = 0.2
_DROPPED_AFTER_BYTES = 200
_SLOW_BYTES_PER_S = 50


def point(env: Environment) -> HttpPoint:
    """The gate, asked with the operator's rights."""
    return HttpPoint(env.gate, env.foundation.kube.token("operator"), env.namespace)


def status(code: int, scope: Scope = EVERYTHING) -> Make:
    return lambda env: HttpStatus(point(env), scope, code)


def garbage(kind: Garbage, scope: Scope) -> Make:
    return lambda env: HttpGarbage(point(env), scope, kind)


def slow(scope: Scope) -> Make:
    return lambda env: HttpSlow(point(env), scope, _SLOW_BYTES_PER_S)


def cut(env: Environment) -> Fault:
    return HttpCut(point(env), env.links.operator_kube)


def hang_up(env: Environment) -> Fault:
    return HttpHangUp(point(env), EVERYTHING)


def watch_dropped(env: Environment) -> Fault:
    return WatchDropped(point(env), after_s=_DROPPED_AFTER_S)


def watch_dropped_after_bytes(env: Environment) -> Fault:
    return WatchDropped(point(env), after_bytes=_DROPPED_AFTER_BYTES)


def _expired(told: Literal["as-answer", "as-event"], env: Environment) -> Fault:
    return WatchExpired(point(env), env.foundation.admin, told)


watch_expired: Make = partial(_expired, "as-answer")
watch_expired_event: Make = partial(_expired, "as-event")
