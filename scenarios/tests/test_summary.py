"""A history in one line for people: the headline never claims more than the judgement."""

import pytest

from harness.checks.judge import Finding, Judgement, failed, inconclusive, passed
from harness.checks.tests.story import Story, settled
from scenarios.cases import NotPassed, require_pass
from scenarios.running.summary import recovered_after_s, summarise

GOOD, BAD, DOUBT = passed("a", "fine"), failed("b", "broken", [3, 4]), inconclusive("c", "who knows")


def killed() -> Story:
    story = settled()
    story.fault("applied")
    story.fault("proved-active")
    story.fault("healed")
    story.passes(1.0)
    story.recovery("Converged", "operator-2")
    return story


@pytest.mark.parametrize(
    ("findings", "trouble", "outcome", "headline"),
    [
        ((GOOD,), None, "pass", "Recovered 1.03 s after SIGKILL; all 1 checks held"),
        ((GOOD, BAD, DOUBT), None, "fail", "b: broken"),
        ((GOOD, DOUBT), None, "inconclusive", "c: who knows"),
        ((), None, "infra-error", "nothing was judged"),
        ((), "ServiceError: away", "infra-error", "ServiceError: away"),
        ((GOOD,), "WaitTimeout: late", "infra-error", "WaitTimeout: late"),
        ((BAD,), "WaitTimeout: late", "fail", "b: broken"),
    ],
)
def test_outcome_and_headline(findings: tuple[Finding, ...], trouble: str | None, outcome: str, headline: str) -> None:
    """Trouble never ends as a pass, and never hides a proven failure."""
    summary = summarise(killed().history(), Judgement(findings), trouble=trouble)
    assert (summary.outcome, summary.headline) == (outcome, headline)


def test_without_a_fault_nothing_recovered() -> None:
    """The headline of a pass then only says that the checks held."""
    assert summarise(settled().history(), Judgement((GOOD,))).headline == "All 1 checks held"
    assert recovered_after_s(settled().history()) is None


def test_load_is_named_where_there_was_some() -> None:
    """Writes acknowledged around the fault, per second."""
    story = killed()
    fault_s = next(r.at_s for r in story.records if r.__class__.__name__ == "Fault")
    for number in range(100):
        story.said("d.app", at_s=fault_s - 0.5 + number / 100)
    assert "under 50 writes/s" in summarise(story.history(), Judgement((GOOD,))).headline


def test_facts_are_counted() -> None:
    """Objects by name, writes and patches by their records."""
    story = settled(devices=3)
    story.patch(verb="get")
    facts = dict(summarise(story.history(), Judgement((GOOD,))).facts)
    assert facts == {
        "devices": "3",
        "deployments": "1",
        "device reports acknowledged": "3",
        "desired-state writes": "3",
        "status patches": "1",
    }


@pytest.mark.parametrize("findings", [(GOOD, BAD), (GOOD, DOUBT), ()], ids=["fail", "doubt", "none"])
def test_only_a_pass_passes(findings: tuple[Finding, ...]) -> None:
    """A failure, a doubt or no judgement at all ends the test, with the places in the history."""
    with pytest.raises(NotPassed) as caught:
        require_pass(Judgement(findings))
    assert "fine" not in str(caught.value)
    if BAD in findings:
        assert str(caught.value) == "FAIL b: broken [history.jsonl line 3, 4]"


def test_a_pass_passes() -> None:
    """Nothing is raised."""
    require_pass(Judgement((GOOD,)))
