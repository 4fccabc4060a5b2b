"""What happened in one seed, a line each, and how a rule's violation is told."""

from collections.abc import Callable


class RuleError(AssertionError):
    """The simulated world saw a rule broken."""


class Story:
    """Lines of what happened. Kept as arguments and written out only for a failing seed: most seeds never are."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: list[tuple[float, str, tuple[object, ...]]] = []

    def tell(self, text: str, *args: object) -> None:
        """`text` is a format with as many {} as there are further arguments."""
        self._lines.append((self._now(), text, args))

    def written(self) -> str:
        return "\n".join(f"{at:9.3f} {text.format(*args)}" for at, text, args in self._lines)
