"""Holding one request at the gate: counted under its rule, held when its turn comes, then released or dropped."""

import asyncio
from collections.abc import Callable
from typing import Literal

from harness.errors import ServiceError, WaitTimeout
from harness.services.gate_rules import Rule

Decision = Literal["released", "dropped"]
HoldEvent = Literal["held", "released", "dropped"]


class Held:
    """A hold on the `ordinal`-th request of a rule, counted from 1 since the rule was armed."""

    def __init__(self, holds: "Holds", rule: Rule, ordinal: int) -> None:
        self.rule = rule
        self.ordinal = ordinal
        self.method = ""
        self.path = ""
        self._holds = holds
        self._reached = asyncio.Event()
        self._decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    async def reached(self, deadline_s: float) -> None:
        """Wait until the request has come and is held. Raises WaitTimeout with the count so far."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._reached.wait()
        except TimeoutError as e:
            raise WaitTimeout(
                f"request {self.ordinal} of rule {self.rule.name} ({self.rule.method} {self.rule.path_regex}) "
                f"did not come within {deadline_s:g} s; seen {self._holds.count(self.rule)}"
            ) from e

    def drop(self) -> None:
        """Never forward it; close its connection without an answer."""
        self._decide("dropped")

    def release(self) -> None:
        """Forward it now, even if its client has gone meanwhile: it was on the wire."""
        self._decide("released")

    @property
    def came(self) -> bool:
        return self._reached.is_set()

    @property
    def decided(self) -> Decision | None:
        return self._decision.result() if self._decision.done() else None

    async def decision(self) -> Decision:
        """What its holder decides, also if whoever waits here is cancelled."""
        return await asyncio.shield(self._decision)

    def arrive(self, method: str, path: str) -> None:
        """Its request has come, and waits from now on."""
        self.method, self.path = method, path
        self._holds.tell(self, "held")
        self._reached.set()

    def _decide(self, decision: Decision) -> None:
        if not self.came:
            raise ServiceError(f"request {self.ordinal} of rule {self.rule.name} has not come yet: nothing is held")
        if self._decision.done():
            raise ServiceError(f"request {self.ordinal} of rule {self.rule.name} was {self._decision.result()} already")
        # Told first: what the decision causes must not stand before it in the history.
        self._holds.tell(self, decision)
        self._decision.set_result(decision)


class Holds:
    """The armed rules with their counts, and the holds that are still to be reached. `tell` hears of each event."""

    def __init__(self, tell: Callable[[Held, HoldEvent], None]) -> None:
        self.tell = tell
        self._counts: dict[Rule, int] = {}
        self._waiting: dict[tuple[Rule, int], Held] = {}

    def arm(self, rule: Rule) -> None:
        self._counts.setdefault(rule, 0)

    def count(self, rule: Rule) -> int:
        return self._counts.get(rule, 0)

    def hold(self, rule: Rule, ordinal: int) -> Held:
        """Raises ServiceError if that request has passed."""
        self.arm(rule)
        if ordinal <= self._counts[rule]:
            raise ServiceError(f"request {ordinal} of rule {rule.name} has passed: {self._counts[rule]} were seen")
        return self._waiting.setdefault((rule, ordinal), Held(self, rule, ordinal))

    def disarm(self, rule: Rule) -> None:
        self._counts.pop(rule, None)
        for key in [key for key in self._waiting if key[0] == rule]:
            del self._waiting[key]

    def due(self, method: str, path: str) -> Held | None:
        """Count the request under every rule it matches; the hold that is due for it, if any."""
        due = None
        for rule in self._counts:
            if rule.matches(method, path):
                self._counts[rule] += 1
                due = self._waiting.pop((rule, self._counts[rule]), None) or due
        return due
