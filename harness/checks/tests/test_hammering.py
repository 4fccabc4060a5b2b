"""The checks on the requests that came while the API server was in trouble."""

import pytest

from harness.checks.hammering import no_hammering, requests_hit
from harness.checks.tests.story import Story
from harness.history.records import GateEvent

CHECK = no_hammering(10)


def asked(*at_s: float, operators: int = 1) -> Story:
    """Operators, and their requests at these times."""
    story = Story()
    for number in range(operators):
        story.process("spawned", f"operator-{number}", pid=number)
    for number, moment in enumerate(at_s, start=1):
        story.at_s = moment
        story.gate("faulted" if number % 2 else "passed", number, "all")
    return story


@pytest.mark.parametrize(("count", "outcome"), [(10, "pass"), (11, "fail")])
def test_bound(count: int, outcome: str) -> None:
    """Those that got through count like those that came to harm."""
    story = asked(*(5 + number * 0.09 for number in range(count)))
    assert CHECK(story.history()).outcome == outcome


def test_spread_out() -> None:
    """Many requests over a long time are no hammering."""
    assert CHECK(asked(*(number * 0.11 for number in range(200))).history()).outcome == "pass"


def test_the_worst_second_is_told() -> None:
    """Wherever it begins; its first and last request are the evidence."""
    story = asked(1.0, 2.0, *(5.5 + number * 0.05 for number in range(12)), 9.0)
    found = CHECK(story.history())
    assert found.outcome == "fail"
    assert "12 requests" in found.reason
    assert "from 5.50 s on" in found.reason
    assert found.evidence == (4, 15)


def test_two_operators() -> None:
    """Each may send as many; one that had ended before does not count."""
    times = [5 + number * 0.05 for number in range(15)]
    assert CHECK(asked(*times, operators=2).history()).outcome == "pass"
    story = Story()
    story.process("spawned", "operator-0", pid=9)
    story.process("exited", "operator-0", pid=9)
    story.process("spawned", "operator-1", pid=10)
    for number, moment in enumerate(times, start=1):
        story.at_s = moment
        story.gate("faulted", number)
    assert CHECK(story.history()).outcome == "fail"


@pytest.mark.parametrize("event", ["held", "dropped", "released"])
def test_other_events_do_not_count(event: GateEvent) -> None:
    """A request is held and released, and is one all the same."""
    story = Story()
    story.process("spawned")
    story.gate(event)
    assert CHECK(story.history()).outcome == "inconclusive"


def test_hit() -> None:
    """Only requests of that rule which came to harm."""
    story = Story()
    story.gate("passed", rule="spared")
    story.gate("faulted", rule="watch")
    assert requests_hit("list")(story.history()).outcome == "inconclusive"
    line = story.gate("faulted", rule="list")
    found = requests_hit("list")(story.history())
    assert (found.outcome, found.evidence) == ("pass", (line,))
    assert requests_hit("list", 2)(story.history()).outcome == "inconclusive"
