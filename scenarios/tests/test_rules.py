"""Every numbered rule of the contract has a test that names it, and no test names another."""

import textwrap
from pathlib import Path

import fleet
from scenarios.tests.rules import Marked, markers_in, markers_under, problems, rules_in

ROOT = Path(fleet.__file__).parent.parent
PACKAGES = ("fleet", "harness", "reports", "scenarios", "vms")


def test_every_rule_has_its_test() -> None:
    """docs/contract.md and the tests' markers name the same rules, each number once on the page."""
    rules = rules_in((ROOT / "docs" / "contract.md").read_text(encoding="utf-8"))
    assert problems(rules, markers_under(ROOT, PACKAGES)) == []


def test_a_rule_begins_a_list_item() -> None:
    """Bold text inside a sentence is no rule, whatever the list's sign and indent are."""
    page = """
    **X9** opens a paragraph.

    - **S1** one, as **S9** says
      - **S2**: nested
    * **W3** another sign
    12. **R10** numbered
    - also **S8**
    | **T1** | a table |
    """
    assert rules_in(page) == ["S1", "S2", "W3", "R10"]


def test_markers_are_found_wherever_they_may_stand() -> None:
    """On functions, classes, methods, parameters and whole modules; several in one marker too."""
    source = textwrap.dedent("""
        import pytest
        pytestmark = [pytest.mark.rule("A1")]

        @pytest.mark.rule("S1", "S2")
        async def test_one(): ...

        @pytest.mark.rule("C1")
        class TestMany:
            @pytest.mark.rule("S3")
            def test_two(self): ...

        @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("P1")), 2])
        def test_three(x): ...
    """)
    assert [(m.rule, m.where) for m in markers_in(source, "t.py")] == [
        ("A1", "t.py:3"),
        ("S1", "t.py::test_one:5"),
        ("S2", "t.py::test_one:5"),
        ("C1", "t.py::TestMany:8"),
        ("S3", "t.py::TestMany::test_two:10"),
        ("P1", "t.py::test_three:13"),
    ]


def test_what_pytest_does_not_run_tests_nothing() -> None:
    """A marker on a helper, or one in a comment or a docstring, is none."""
    source = textwrap.dedent('''
        """As @pytest.mark.rule("S1") does."""
        # @pytest.mark.rule("S1")
        @pytest.mark.rule("S1")
        def helper(): ...
    ''')
    assert markers_in(source, "t.py") == []


def test_an_argument_that_is_no_text_is_named() -> None:
    """What has to be run to be read can't be compared."""
    for marker in ("rule(RULE)", "rule(1)", "rule()"):
        (found,) = markers_in(f"@pytest.mark.{marker}\ndef test_it(): ...", "t.py")
        assert problems([], [found]) == ["t.py::test_it:1: a rule is named by its number, in plain text"]


def test_each_difference_is_named() -> None:
    """A rule without a test, a test of a rule that is not there, a number that is used twice."""
    assert problems(["S1"], [Marked("S1", "a"), Marked("S1", "b")]) == []
    assert problems(["S1", "S2", "S1"], [Marked("S1", "a"), Marked("W1", "t.py::test_x:7")]) == [
        "rule S1 stands in the contract 2 times",
        "rule S2 has no test",
        "t.py::test_x:7 tests rule W1, which the contract does not have",
    ]


def test_the_tests_of_this_repository_are_looked_at(tmp_path: Path) -> None:
    """Every test module below the packages, with its place; what is no test module is left alone."""
    folder = tmp_path / "fleet" / "deep" / "tests"
    folder.mkdir(parents=True)
    marked = '@pytest.mark.rule("S1")\ndef test_it(): ...\n'
    (folder / "test_a.py").write_text(marked)
    (folder / "samples.py").write_text(marked)
    assert markers_under(tmp_path, PACKAGES) == [Marked("S1", "fleet/deep/tests/test_a.py::test_it:1")]
    assert list((ROOT / "fleet").rglob("test_*.py"))
