"""A history as lanes: what is drawn where."""

import pytest

from harness.history import ContainerEvent, Fault, Gate, History, Mark, Process, Recovery, SourceProgress
from reports.html.model import BarLane, Lane, SpanLane
from reports.html.spans import fraction
from reports.html.timeline import timeline
from reports.tests.synthetic import one_of_each, story


def lane(history: History, label: str) -> Lane:
    return next(found for found in timeline(history).lanes if found.label == label)


def spans(history: History, label: str) -> SpanLane:
    found = lane(history, label)
    assert isinstance(found, SpanLane)
    return found


def bars(history: History, label: str) -> BarLane:
    found = lane(history, label)
    assert isinstance(found, BarLane)
    return found


def test_a_killed_operator_has_two_lives_and_a_cross() -> None:
    """The first life ends at the kill, the second lasts to the end; both are in the first row."""
    found = spans(story(), "Processes")
    first, second = (span for span in found.spans if span.label.startswith("operator"))
    assert (first.row, second.row) == (0, 0)
    assert (first.start_s, first.end_s) == (0.9, 10.01)
    assert "ended by SIGKILL" in first.detail
    assert (second.start_s, second.end_s) == (10.62, 30.0)
    assert [tick.at_s for tick in found.ticks if tick.cross] == [10.0]


def test_two_lives_at_once_never_share_a_row() -> None:
    """Two operators of one name that overlap are drawn below each other, and the next process below both."""
    found = spans(
        History(
            [
                Process(at_s=1, name="operator", event="spawned", pid=1),
                Process(at_s=2, name="operator", event="spawned", pid=2),
                Process(at_s=3, name="nats", event="spawned", pid=3),
            ]
        ),
        "Processes",
    )
    assert {span.label: span.row for span in found.spans} == {
        "operator · pid 1": 0,
        "operator · pid 2": 1,
        "nats · pid 3": 2,
    }


def test_recovery_ends_with_its_process() -> None:
    """Converged is not drawn past the death of the operator that said so."""
    phases = [(s.label, round(s.start_s, 2), round(s.end_s, 2)) for s in spans(story(), "Recovery").spans]
    assert phases == [
        ("Recovering 0.300 s", 1.2, 1.5),
        ("Converged", 1.5, 10.01),
        ("Recovering 1.49 s", 10.82, 12.31),
        ("Converged", 12.31, 30.0),
    ]


def test_the_same_phase_of_two_lives_is_two_spans() -> None:
    """An operator killed while Recovering recovers again from the start."""
    sources = {"devices": SourceProgress(seen=1, expected=2, current=False)}
    found = spans(
        History(
            [
                Recovery(at_s=1, process="operator", phase="Recovering", sources=sources),
                Process(at_s=2, name="operator", event="exited", pid=1, exit_code=-9),
                Recovery(at_s=3, process="operator", phase="Recovering", sources=sources),
                Process(at_s=4, name="other", event="spawned", pid=2),
            ]
        ),
        "Recovery",
    )
    assert [(s.start_s, s.end_s) for s in found.spans] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("seen", "expected", "current", "share"),
    [(0, None, False, 0), (5, 10, False, 0.5), (50, 10, False, 1), (0, 0, True, 1), (3, -1, False, 0)],
)
def test_progress_is_a_share(seen: int, expected: int | None, current: bool, share: float) -> None:
    """An unknown expectation is no progress; a source that is current is done, an empty one too."""
    assert fraction({"a": SourceProgress(seen=seen, expected=expected, current=current)}) == share


def test_a_fault_never_healed_lasts_to_the_end_and_says_so() -> None:
    """It must be seen that a fault was left open, and that it was never proved."""
    found = spans(History(one_of_each()), "Faults")
    fault = next(s for s in found.spans if s.label == "latency · nats")
    assert (fault.end_s, fault.open_end) == (1.5, True)
    assert "never healed" in fault.detail
    assert "1 unproved" in found.notes


def test_a_held_request_lasts_until_it_is_released_or_dropped() -> None:
    """The gate is a fault point, so its holds are drawn as faults."""
    gate = [
        Gate(at_s=1, rule="p", ordinal=1, event="held", method="PATCH", path="/"),
        Gate(at_s=2, rule="p", ordinal=2, event="held", method="PATCH", path="/"),
        Gate(at_s=3, rule="p", ordinal=1, event="released", method="PATCH", path="/"),
        Gate(at_s=4, rule="p", ordinal=2, event="dropped", method="PATCH", path="/"),
    ]
    found = spans(History(gate), "Faults")
    assert [(s.start_s, s.end_s, s.row) for s in found.spans] == [(1, 3, 0), (2, 4, 1)]


def test_too_many_faults_are_counted_not_drawn() -> None:
    """A lane stays bounded and says what it leaves out."""
    faults = [Fault(at_s=i, name=f"f{i}", target="t", event="applied") for i in range(20)]
    found = spans(History([*faults, Mark(at_s=30, name="end")]), "Faults")
    assert len(found.spans) == 8
    assert "+12 not drawn" in found.notes


def test_writes_are_counted_up_and_down() -> None:
    """Acknowledged, put and accepted rise; unknown, deleted and refused hang."""
    history = story(failing=True)
    desired, patches, writes = (bars(history, n) for n in ("Desired-state writes", "Status patches", "Device writes"))
    assert (sum(desired.up), sum(desired.down)) == (800, 37)
    assert (sum(patches.up), sum(patches.down)) == (56, 4)
    assert sum(writes.down) > 0
    assert sum(writes.up) + sum(writes.down) == sum(1 for r in history.records if type(r).__name__ == "Op")


def test_a_lane_without_events_stays_and_says_none() -> None:
    """That nothing was written is often the point."""
    assert bars(History(()), "Desired-state writes").notes == ("none",)


def test_kills_and_marks_cross_all_lanes_in_order() -> None:
    """A SIGKILL is marked without the scenario's help."""
    assert [(f.label, f.at_s) for f in timeline(story()).flags] == [
        ("kill", 10.0),
        ("SIGKILL operator", 10.0),
        ("restart", 10.62),
        ("converged", pytest.approx(12.31)),
    ]


def test_the_summary_tells_it_in_words() -> None:
    """Who does not see the picture hears the same facts."""
    summary = timeline(story()).summary
    assert "SIGKILL operator at 10.000 s" in summary
    assert "Desired-state writes: 800 puts, 0 deletes" in summary


def test_a_container_runs_until_it_died_or_its_host_lost_power() -> None:
    """One span a run: to `died`, to the end of the host's first process, or to the end; none where nothing ran."""

    def event(at_s: float, word: str, container: str, code: int | None = None) -> ContainerEvent:
        return ContainerEvent(
            at_s=at_s + 0.01,
            happened_s=at_s,
            host="d1",
            event=word,
            id=container,
            name=f"c-{container}",
            image="payload:v1",
            exit_code=code,
        )

    found = spans(
        History(
            [
                event(1, "create", "a"),
                event(1, "start", "a"),
                event(2, "start", "b"),
                event(3, "died", "a", 3),
                event(4, "start", "a"),
                Process(at_s=5, name="d1", event="exited", pid=1, exit_code=-9),
                event(6, "start", "b"),
                event(9, "remove", "c"),
            ]
        ),
        "Containers",
    )
    assert [(s.label, s.start_s, s.end_s, s.row, s.open_end) for s in found.spans] == [
        ("c-a · d1", 1, 3, 0, False),
        ("c-b · d1", 2, 5, 1, False),
        ("c-a · d1", 4, 5, 0, False),
        ("c-b · d1", 6, 9.01, 0, True),
    ]
    assert "exit code 3" in found.spans[0].detail
    assert "lost power" in found.spans[1].detail
    assert "Containers" not in [lane.label for lane in timeline(story()).lanes]
