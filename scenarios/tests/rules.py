"""Compares the numbered rules of the contract with the tests that name them. Text and syntax trees in, words out.

A rule is a list item that begins with its number, `- **S1** ...`. A test names it by `@pytest.mark.rule("S1")`: on a
function, a class, one parameter, or a module's `pytestmark`.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

RULE = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\*\*([A-Z]\d+)\*\*", re.MULTILINE)
MARKER = "rule"

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Marked:
    """One test says that it tests a rule; `rule` is None if the marker's argument is no plain text."""

    rule: str | None
    where: str


def rules_in(markdown: str) -> list[str]:
    """Their numbers, in the order of the page; one that is used twice stands there twice."""
    return RULE.findall(markdown)


def markers_in(source: str, where: str) -> list[Marked]:
    """The rule markers of a test module, each with the test that it stands on. Raises SyntaxError."""
    return list(_of_body(ast.parse(source).body, where))


def _of_body(body: Iterable[ast.stmt], where: str) -> Iterator[Marked]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _of_nodes(node.decorator_list, f"{where}::{node.name}")
            yield from _of_body(node.body, f"{where}::{node.name}")
        elif isinstance(node, _Function) and node.name.startswith("test"):
            yield from _of_nodes(node.decorator_list, f"{where}::{node.name}")
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            yield from _of_nodes([node.value], where)


def _of_nodes(nodes: Iterable[ast.expr], where: str) -> Iterator[Marked]:
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARKER:
            for argument in node.args or [node.func]:
                plain = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                yield Marked(str(argument.value) if plain else None, f"{where}:{node.lineno}")  # type: ignore[attr-defined] # `plain` says so


def problems(rules: Iterable[str], marked: Iterable[Marked]) -> list[str]:
    """One line for each rule and each marker that has no counterpart, and for each number that is used twice."""
    counts = Counter(rules)
    marked = list(marked)
    tested = {marker.rule for marker in marked}
    return [
        *(f"rule {rule} stands in the contract {times} times" for rule, times in counts.items() if times > 1),
        *(f"rule {rule} has no test" for rule in counts if rule not in tested),
        *(
            f"{marker.where} tests rule {marker.rule}, which the contract does not have"
            for marker in marked
            if marker.rule is not None and marker.rule not in counts
        ),
        *(f"{marker.where}: a rule is named by its number, in plain text" for marker in marked if marker.rule is None),
    ]


def markers_under(folder: Path, packages: Iterable[str]) -> list[Marked]:
    """The markers of all test modules of these packages."""
    paths = sorted(path for package in packages for path in (folder / package).rglob("test_*.py"))
    return [
        marker
        for path in paths
        for marker in markers_in(path.read_text(encoding="utf-8"), str(path.relative_to(folder)))
    ]
