"""The two suites of `fleetproof bench suite`: who begins, what is compared first, and what the figures are made of."""

from collections.abc import Sequence

import pytest

from harness.errors import HarnessError, Mismatch
from harness.services.warden import Warden
from scenarios.running import bench_suite
from scenarios.running.bench_suite import Answer, measure, turns_of

OURS_S, NAIVE_S = 2.0, 8.0


class Suites:
    """Plays both: each shape has one case, which ends as `outcomes` say."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.outcomes: dict[tuple[str, bool], str] = {}

    def run(self, shapes: Sequence[str], *, fresh: bool, warden: Warden) -> bench_suite._Run:
        assert isinstance(warden, Warden)
        self.ran.append(("naive" if fresh else "ours", *shapes))
        cases = [bench_suite._Case(s, "one", self.outcomes.get((s, fresh), "pass"), f"why {s}") for s in shapes]
        return bench_suite._Run(NAIVE_S if fresh else OURS_S, cases)


@pytest.fixture
def suites(monkeypatch: pytest.MonkeyPatch) -> Suites:
    suites = Suites()

    async def resets(_binaries: object, _say: object) -> tuple[float, list[float]]:
        return 5.0, [0.1, 0.2, 0.3]

    monkeypatch.setattr(bench_suite, "_run", suites.run)
    monkeypatch.setattr(bench_suite, "measure_resets", resets)
    return suites


def measured(turns: Sequence[Sequence[str]], said: list[str] | None = None) -> Answer:
    return measure({}, turns, (said if said is not None else []).append)


def test_turns_begin_with_either_and_are_summed(suites: Suites) -> None:
    """Every shape runs once in each; what each turn took is said at once."""
    said: list[str] = []
    answer = measured(turns_of(["a", "b", "c"], 2), said)
    assert suites.ran == [("ours", "a", "b"), ("naive", "a", "b"), ("naive", "c"), ("ours", "c")]
    found = answer.as_json()
    assert (found["reset_over_start"], found["suite_over_naive"]) == (0.04, 0.25)
    assert (found["suite_s"], found["cases"], found["not_passed"]) == ({"ours": 4.0, "naive": 16.0}, 3, [])
    assert "turn 2: ours 2.0 s, naive 8.0 s; 0.250 so far" in said


def test_what_did_not_pass_in_both_is_named(suites: Suites) -> None:
    """It counts, whoever reads the figures is told, and why is said as soon as it is known."""
    suites.outcomes = {("b", False): "fail", ("b", True): "fail"}
    said: list[str] = []
    assert measured([["a", "b"]], said).not_passed == ["b[one]"]
    assert [line for line in said if "why" in line] == [
        "ours: b[one] fail: why b",
        "naive: b[one] fail: why b",
    ]


@pytest.mark.parametrize("fresh", [False, True])
def test_another_verdict_is_no_figure(suites: Suites, fresh: bool) -> None:
    """Whichever of the two had it; the case and both verdicts are named."""
    suites.outcomes = {("b", fresh): "inconclusive"}
    said = "pass in ours, inconclusive there" if fresh else "inconclusive in ours, pass there"
    with pytest.raises(Mismatch, match=rf"1 cases ended otherwise in the naive suite, e\.g\. b\[one\]: {said}"):
        measured([["a"], ["b"]])


def test_a_suite_that_cannot_run_says_why() -> None:
    """Its own last line; the real program is asked."""
    with Warden() as warden, pytest.raises(HarnessError, match=r"gave no answer: fleetproof: .*no-such-shape"):
        bench_suite._run(["no-such-shape"], fresh=True, warden=warden)
