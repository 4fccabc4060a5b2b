"""Where recovery stands: which cold-start sources have replayed, and whether all of them hold at once. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

RECOVERING = "Recovering"
CONVERGED = "Converged"


@dataclass(slots=True)
class Source:
    """One cold-start source. `current` is revocable: it is true only while what we know of it can be true."""

    seen: int = 0
    expected: int | None = None
    current: bool = False
    trouble: str | None = None
    revoked: int = 0


class Recovery:
    """Recovering until every source is current at the same time; Recovering again when one is lost."""

    def __init__(self, names: Iterable[str], beside: Iterable[str] = ()) -> None:
        """`names` are the sources that Converged waits for; those `beside` are shown with them."""
        self._gating = tuple(names)
        self.sources = {name: Source() for name in (*self._gating, *beside)}
        self.converged_count = 0
        self._converged = False

    @property
    def converged(self) -> bool:
        return self._converged

    @property
    def phase(self) -> str:
        return CONVERGED if self._converged else RECOVERING

    def started(self, name: str) -> None:
        source = self.sources[name]
        source.seen, source.expected, source.current = 0, None, False
        self._settle()

    def expecting(self, name: str, count: int) -> None:
        self.sources[name].expected = count

    def saw(self, name: str, count: int = 1) -> None:
        source = self.sources[name]
        if not source.current:
            source.seen += count

    def current(self, name: str) -> None:
        source = self.sources[name]
        source.current, source.trouble = True, None
        self._settle()

    def lost(self, name: str, reason: str) -> None:
        source = self.sources[name]
        source.revoked += source.current
        source.current, source.trouble = False, reason
        self._settle()

    def _settle(self) -> None:
        converged = all(self.sources[name].current for name in self._gating)
        self.converged_count += converged and not self._converged
        self._converged = converged

    def as_json(self) -> dict[str, object]:
        """The answer of /recovery."""
        return {
            "phase": self.phase,
            "sources": {
                name: {
                    "seen": source.seen,
                    "expected": source.expected,
                    "current": source.current,
                    "trouble": source.trouble,
                    "revoked": source.revoked,
                    "gates": name in self._gating,
                }
                for name, source in self.sources.items()
            },
        }
