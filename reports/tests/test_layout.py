"""The pure parts of the layout: ticks, bins, labels, and what becomes of hostile text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html.labels import fitted, pack_rows, place_labels, text_width_px
from reports.html.scale import Bins, Scale, nice_step, ticks
from reports.html.text import clip, plain, plural, seconds


@pytest.mark.parametrize(
    ("end_s", "step"), [(10, 1), (30, 5), (60, 5), (0.004, 0.0005), (3600, 500), (1.2, 0.1), (1e9, 1e8)]
)
def test_ticks_are_round_and_few(end_s: float, step: float) -> None:
    """Ticks start at 0, are 1, 2 or 5 times a power of ten apart, and never pass the end."""
    found = ticks(end_s)
    assert found[:2] == (0, step)
    assert found[-1] <= end_s < found[-1] + step * 1.001
    assert len(found) <= 13


@given(st.floats(0.001, 1e12), st.integers(1, 500))
def test_a_step_cuts_into_no_more_than_asked(span: float, count: int) -> None:
    """The step is large enough for the count, and less than ten times too large."""
    step = nice_step(span, count)
    assert span / count * 0.999 <= step < span / count * 10


@given(st.lists(st.floats(-5, 200), max_size=50))
def test_bins_lose_no_event(times_s: list[float]) -> None:
    """Every event is counted once, those outside the run in the first or last bin."""
    bins = Bins.over(60.0, 240)
    assert bins.count <= 240
    assert sum(bins.counts(times_s)) == len(times_s)


def test_an_event_is_in_the_bin_of_its_time() -> None:
    """Bins are closed on the left and open on the right; the end itself belongs to the last."""
    assert Bins(0.5, 4).counts([0, 0.49, 0.5, 1.99, 2.0, float("inf")]) == (2, 1, 0, 3)


def test_times_outside_the_run_stick_to_its_edges() -> None:
    """A stamp of another clock cannot draw outside the plot."""
    scale = Scale(10, 1000)
    assert [scale.x(t) for t in (-1, 0, 5, 10, 1e12)] == [0, 0, 500, 1000, 1000]


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 300)), max_size=40))
def test_labels_never_overlap(anchors: list[tuple[float, float]]) -> None:
    """Placed labels of one row stay clear of each other and begin inside the plot."""
    placed = place_labels(sorted(anchors), 1000, 5)
    for row in range(5):
        spans = sorted(
            (p.x_px, p.x_px + width)
            for p, (_, width) in zip(placed, sorted(anchors), strict=True)
            if p is not None and p.row == row
        )
        assert all(left[1] <= right[0] for left, right in pairwise(spans))
        assert all(start >= 0 and end <= 1000 for start, end in spans)


def test_a_label_at_the_right_edge_stands_left_of_its_line() -> None:
    """The last instant of a run has a readable label too."""
    (place,) = place_labels([(999, 80)], 1000, 5)
    assert place is not None
    assert place.x_px + 80 < 999


def test_overlapping_spans_get_rows_of_their_own_until_there_are_no_more() -> None:
    """A span that finds no row is reported as None, never drawn over another."""
    assert pack_rows([(0, 5), (1, 2), (2, 9), (3, 4), (5, 6)], 2) == (0, 1, 1, None, 0)


@given(st.text(), st.floats(0, 300))
def test_fitted_text_fits(text: str, room_px: float) -> None:
    """A cut label is never wider than its room."""
    cut = fitted(text, 11, room_px)
    assert text_width_px(cut, 11) <= room_px or cut == ""


@given(st.text())
def test_plain_text_is_printable_everywhere(text: str) -> None:
    """Whatever comes in, what goes out encodes as UTF-8 and has no control, bidi or line-breaking character."""
    shown = plain(text)
    shown.encode("utf-8")
    assert not set(shown) & set("\x00\x1b\n\r\u202e\u2028\ufeff")


def test_a_cut_is_in_plain_sight() -> None:
    """A clipped value says how much is missing."""
    assert clip("abc", 3) == "abc"
    assert clip("x" * 1500, 10) == "xxxxxxxxxx… (+1,490 characters)"


def test_numbers_read_well() -> None:
    """Durations have the digits one can use; nouns agree with their counts."""
    assert [seconds(v) for v in (0.0123, 2.314, 1234.56)] == ["0.012 s", "2.31 s", "1,234.6 s"]
    assert [plural(1, "life", "lives"), plural(0, "fault")] == ["1 life", "0 faults"]
