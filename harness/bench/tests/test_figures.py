"""Medians, digests and differences: the arithmetic that a verdict rests on."""

import pytest

from harness.bench.figures import Sample, Spread, contestant_json, difference, digest, known_counts, medians

ONE = {"app": {"matched": 2, "succeeded": 1, "pending": 1, "failed": 0, "stale": 0}}
OTHER = {"app": {"matched": 2, "succeeded": 2, "pending": 0, "failed": 0, "stale": 0}}


def sample(seconds: float, rss: int = 1) -> Sample:
    return Sample(startup_s=0.5, seconds=seconds, cpu_s=seconds / 2, rss_max_bytes=rss)


def test_spread_is_median_and_extremes() -> None:
    """One slow round moves the most, not the median."""
    assert Spread.of([3.0, 1.0, 50.0]).as_json() == {"median": 3.0, "min": 1.0, "max": 50.0}
    assert Spread.of([1.0, 2.0]).median == 1.5


def test_spread_of_nothing_is_an_error() -> None:
    """No measurement is no figure."""
    with pytest.raises(ValueError, match="median"):
        Spread.of([])


def test_a_contestant_has_medians_and_its_largest_memory() -> None:
    """Memory is the peak of all rounds; start-up stands apart from the seconds."""
    found = contestant_json([sample(1.0, rss=5), sample(3.0, rss=9), sample(2.0, rss=7)])
    assert found["rss_max_bytes"] == 9
    assert found["seconds"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert found["startup_s"] == {"median": 0.5, "min": 0.5, "max": 0.5}
    assert medians({"ours": [sample(1.0), sample(2.0), sample(9.0)]}) == {"ours": 2.0}


def test_digest_is_of_the_whole_state() -> None:
    """Equal states have one digest in any order; one count more or one source more gives another."""
    assert digest(ONE, {"a": 1, "b": 2}) == digest(dict(ONE), {"b": 2, "a": 1})
    assert len({digest(ONE, {"a": 1}), digest(OTHER, {"a": 1}), digest(ONE, {"a": 2}), digest(ONE, {})}) == 4


def test_difference_names_the_first() -> None:
    """What differs is told by name with both sides; a name that only one side has differs."""
    assert difference(ONE, dict(ONE)) == ""
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == "b: 2 here, 3 there"
    assert difference({}, {"c": 4}) == "c: None here, 4 there"


def test_counts_of_a_status_are_the_five() -> None:
    """Other fields of the aggregate do not count; what is missing is 0; no status at all is all 0."""
    status = {"aggregate": {"matched": 3, "succeeded": 3, "lastError": {"device": "d"}}}
    assert known_counts(status) == {"matched": 3, "succeeded": 3, "pending": 0, "failed": 0, "stale": 0}
    assert set(known_counts({}).values()) == {0}
