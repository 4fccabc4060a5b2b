"""A stored history judged again: the same questions, asked of its events alone. Pure.

A verdict names its question (`function`, `arguments`); what it answered is only compared, never looked at before.
"""

import inspect
import typing
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import BoundArguments, Parameter

import msgspec

from harness.checks.judge import Check, CheckFactory, Finding
from harness.errors import HarnessError
from harness.history import Argument, History, Verdict

AnyFactory = CheckFactory[...]

Find = Callable[[str], Check | AnyFactory]
"""From a `function` (module:name) to the check, or to what makes it. Raises CannotAskError."""


class CannotAskError(HarnessError):
    """A stored question can't be asked again; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Again:
    """One verdict, with the line that it stands on, and what the same check says now."""

    line: int
    stored: Verdict
    finding: Finding

    @property
    def same(self) -> bool:
        """The verdict is; its words may have been put better since."""
        return (self.stored.check, self.stored.outcome) == (self.finding.check, self.finding.outcome)


def judge_again(history: History, find: Find) -> tuple[Again, ...]:
    """Each verdict asked again; none if the history was never judged.

    The events are what stands before the first verdict.

    Raises:
        CannotAskError: an unknown function, wrong arguments, or events that a check cannot read.
    """
    verdicts = list(history.numbered(Verdict))
    events = History(history.records[: verdicts[0][0] - 1]) if verdicts else history
    return tuple(Again(line, verdict, _ask(line, verdict, events, find)) for line, verdict in verdicts)


def _ask(line: int, verdict: Verdict, events: History, find: Find) -> Finding:
    try:
        return _check_of(find(verdict.function), verdict.arguments)(events)
    except CannotAskError as e:
        raise CannotAskError(f"line {line}: {verdict.check}: {e}") from e
    except Exception as e:  # the events are somebody's data, and may hold what no run records
        raise CannotAskError(f"line {line}: {verdict.check} cannot read these events: {type(e).__name__}: {e}") from e


def _check_of(found: Check | AnyFactory, arguments: Mapping[str, Argument]) -> Check:
    if isinstance(found, Check):
        if arguments:
            raise CannotAskError(f"{found.function} takes no arguments, and is stored with {', '.join(arguments)}")
        return found
    signature = inspect.signature(found.factory)
    hints = typing.get_type_hints(found.factory)
    needed = {name for name, p in signature.parameters.items() if p.default is Parameter.empty and not _starred(p)}
    if unfit := sorted((arguments.keys() - signature.parameters.keys()) | (needed - arguments.keys())):
        raise CannotAskError(f"its arguments are {signature}, which the stored ones differ from in {', '.join(unfit)}")
    bound = BoundArguments(signature, OrderedDict())
    for name, parameter in signature.parameters.items():
        if name in arguments:
            bound.arguments[name] = _as_declared(hints[name], name, arguments[name], starred=_starred(parameter))
    return found(*bound.args, **bound.kwargs)


def _starred(parameter: Parameter) -> bool:
    return parameter.kind is Parameter.VAR_POSITIONAL


def _as_declared(hint: object, name: str, value: Argument, *, starred: bool) -> object:
    """As the check had it: an enum's member again, not its text."""
    try:
        if starred and isinstance(value, tuple):
            return tuple(msgspec.convert(item, hint) for item in value)
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as e:
        raise CannotAskError(f"its argument {name} is {value!r}: {e}") from e
