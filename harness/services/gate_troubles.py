"""The troubles that are on at the gate, and which of them a request meets."""

import asyncio
from collections.abc import Callable

from aiohttp import hdrs, web

from harness.services.gate_rules import Rule
from harness.services.gate_ways import Way

PROOF_AGENT = "fleetproof-proof"
"""User-Agent of a request that is to show what the gate does: it meets the trouble, and nobody counts it."""


class Trouble:
    """One way in which the requests of a rule go wrong from now on, until `end`. `first`: only so many of them."""

    def __init__(self, rule: Rule, way: Way, first: int | None, forget: Callable[["Trouble"], None]) -> None:
        self.rule = rule
        self.way = way
        self.over = asyncio.Event()
        self.came = 0
        self._first = first
        self._forget = forget

    def end(self) -> None:
        """Idempotent."""
        self.over.set()
        self._forget(self)

    def meets(self, request: web.BaseRequest) -> bool:
        """Whether the request comes to harm. It counts if it is the product's and the rule selects it."""
        if not self.rule.matches(request.method, request.raw_path) or not self.way.hits(request):
            return False
        if is_proof(request):
            return True
        self.came += 1
        return self._first is None or self.came <= self._first


class Troubles:
    """Those that are on. Of several that a request could meet it meets the one that began first."""

    def __init__(self) -> None:
        self._on: list[Trouble] = []
        self._spared = 0

    def begin(self, rule: Rule, way: Way, first: int | None) -> Trouble:
        trouble = Trouble(rule, way, first, self._forget)
        self._on.append(trouble)
        return trouble

    def met(self, request: web.BaseRequest) -> Trouble | None:
        return next((trouble for trouble in self._on if trouble.meets(request)), None)

    def spared(self, request: web.BaseRequest) -> int | None:
        """Of a request that met none while some were on: how many that makes. None if it does not count."""
        if not self._on or is_proof(request):
            return None
        self._spared += 1
        return self._spared

    def _forget(self, trouble: Trouble) -> None:
        if trouble in self._on:
            self._on.remove(trouble)


def is_proof(request: web.BaseRequest) -> bool:
    return request.headers.get(hdrs.USER_AGENT) == PROOF_AGENT
