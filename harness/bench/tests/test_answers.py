"""What a benchmark answers, for machines and for people, from samples that are made up."""

from fleet.wire import Bucket
from harness.bench.cold_start import ColdStart
from harness.bench.figures import Sample
from harness.bench.operators import RecoveryPage
from harness.bench.patches import PatchCount
from harness.bench.plan import Plan
from harness.bench.report import cold_start_rows, state_change_rows
from harness.bench.settle import Settled
from harness.bench.state_change import Lap, Load, StateChange


def samples(*seconds: float) -> list[Sample]:
    return [Sample(startup_s=0.25, seconds=s, cpu_s=s / 2, rss_max_bytes=50 << 20) for s in seconds]


def cold_start() -> ColdStart:
    return ColdStart(
        Plan(devices=1000, deployments=10),
        Settled(RecoveryPage("Converged"), (Bucket.DESIRED_STATE, Bucket.DEVICE_STATE)),
        digest="abc",
        writes=0,
        rounds={
            "ours": samples(0.6, 0.5, 9.0),
            "nats-drain": samples(0.2, 0.3, 0.2),
            "list-drain": samples(0.4, 0.4, 0.5),
            "both-drains": samples(0.5, 0.5, 0.4),
            "twin": samples(3.0, 2.0, 4.0),
        },
    )


def lap(cpu_s_per_change: float, problems: tuple[str, ...] = ()) -> Lap:
    return Lap(cpu_s_per_change, 0.001, 998.0, 0.02, 0.3, PatchCount(10, 10 - len(problems), 4, 1, problems))


def state_change() -> StateChange:
    return StateChange(
        Load(changes=100, rate_per_s=1000, rounds=2),
        (Plan(10, 2), Plan(1000, 2)),
        {10: [lap(40e-6), lap(50e-6)], 1000: [lap(54e-6), lap(54e-6, ("tick 1, app: missed",))]},
        {10: 1 << 20, 1000: 2 << 20},
    )


def test_cold_start_is_held_against_the_slowest_bare_drain() -> None:
    """Of medians: the slower one of the two drains, and the twin; per device; start-up is in no figure."""
    answer = cold_start().as_json()
    assert (answer["slowest_bare"], answer["ratio_to_bare"], answer["twin_over_ours"]) == ("list-drain", 1.5, 5.0)
    assert answer["ratio_to_both"] == 1.2
    assert answer["seconds_per_device"] == 0.0006
    assert (answer["pairs"], answer["buckets"]) == (2000, ["desired-state", "device-state"])


def test_cold_start_for_people() -> None:
    """A row for each contestant and the two ratios in words."""
    rows, notes = cold_start_rows(cold_start().as_json())
    assert [row[0] for row in rows] == ["contestant", "ours", "nats-drain", "list-drain", "both-drains", "twin"]
    assert rows[1] == ["ours", "0.600", "0.500 to 9.000", "0.30", "0.25", "50"]
    assert notes[1] == "1.5 x the slowest bare drain (list-drain), 1.2 x both at once; the twin takes 5.0 x as long"


def test_state_change_is_the_ratio_of_medians() -> None:
    """Large over small; patches are summed over fleets and rounds; a problem names its fleet."""
    found = state_change()
    answer = found.as_json()
    assert answer["cpu_ratio_100k_over_1k"] == 1.2
    assert (answer["patches"], answer["changed_pairs"], answer["undecided"]) == (40, 39, 4)
    assert found.problems == ["1000 devices: tick 1, app: missed"]


def test_state_change_for_people() -> None:
    """A row for each fleet, and the ratio in words."""
    rows, notes = state_change_rows(state_change().as_json())
    assert rows[1] == ["10", "45.0", "40.0 to 50.0", "0.0010", "998", "20", "20", "1"]
    assert notes == ["a change costs 1.2 x as much at 1000 devices as at 10"]
    assert len({len(row) for row in rows}) == 1
