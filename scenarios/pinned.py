"""Which tests pin a shape, read from the `cases` markers of this package's test modules."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import scenarios
from scenarios.cases import MARKER
from scenarios.catalogue import Shape, shape


@dataclass(frozen=True, slots=True)
class Pinned:
    """One test of a shape: where it is, what it says that it shows, and the ids of its cases."""

    shape: Shape
    file: str
    function: str
    behaviour: str
    cases: Sequence[str]


def pinned() -> list[Pinned]:
    """All of them, in the order of their files, also those of a shape that is in no catalogue.

    A module that can't be imported raises what it raises.

    Raises:
        KeyError: a test names a shape that is not in the catalogue.
    """
    return [
        test
        for path in sorted(Path(scenarios.__file__).parent.glob("test_*.py"))
        for test in _pinned_in(f"{scenarios.__name__}.{path.stem}")
    ]


def _pinned_in(module: str) -> list[Pinned]:
    return [
        Pinned(
            shape=of if isinstance(of := marker.args[0], Shape) else shape(of),
            file=f"{module.replace('.', '/')}.py",
            function=name,
            behaviour=next(iter(inspect.cleandoc(value.__doc__ or "").splitlines()), ""),
            cases=tuple(marker.args[1]),
        )
        for name, value in vars(importlib.import_module(module)).items()
        for marker in getattr(value, "pytestmark", [])
        if marker.name == MARKER
    ]
