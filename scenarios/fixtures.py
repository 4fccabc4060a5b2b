"""The fixtures of scenario tests. Two of them refine the harness's of the same name, so they are loaded after those."""

import inspect
import sys
from collections.abc import Sequence

import pytest

from scenarios.defects import DEFECTS
from scenarios.defects.defect import Defect, Part
from scenarios.variants import Variant


@pytest.fixture
def variant() -> Variant | None:
    """None for a test that is no case of a shape; cases are parametrised."""
    return None


@pytest.fixture
def case(variant: Variant) -> object:
    return variant.case


@pytest.fixture
def scenario_name(variant: Variant | None, scenario_name: tuple[str, str, str | None]) -> tuple[str, str, str | None]:
    """Shape, case and defect, for the history's first line."""
    if variant is None:
        return scenario_name
    return variant.shape.id, variant.case_id, variant.defect.name if variant.defect else None


@pytest.fixture
def operator_command(variant: Variant | None, operator_command: Sequence[str]) -> Sequence[str]:
    """The product as it is, or with the variant's defect patched in from outside."""
    defect = _defect_of(variant, "operator")
    return operator_command if defect is None else (*_patched(defect), "operator")


@pytest.fixture
def agent_command(variant: Variant | None, agent_command: Sequence[str]) -> Sequence[str]:
    """Likewise."""
    defect = _defect_of(variant, "agent")
    return agent_command if defect is None else (*_patched(defect), "agent", "run")


def _defect_of(variant: Variant | None, part: Part) -> Defect | None:
    return None if variant is None or variant.defect is None or variant.defect.part != part else variant.defect


def _patched(defect: Defect) -> Sequence[str]:
    start = (sys.executable, "-m", "scenarios.defects")
    if DEFECTS.get(defect.name) is defect:
        return (*start, defect.name)
    return (*start, "--from", inspect.getfile(defect.patch), defect.name)
