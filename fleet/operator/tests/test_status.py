"""A Deployment's status: decided from its tally, stored as a patch, and left alone once it is stored."""

from collections.abc import Mapping
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.operator.status import Json, Trouble, decide_status, status_patch
from fleet.operator.tally import Failure, Standing, Tally
from fleet.operator.tests.samples import D1, at, deployment


def tally(
    *, pending: int = 0, succeeded: int = 0, failed: int = 0, stale: int = 0, undecided: int = 0, unsettled: int = 0
) -> Tally:
    made = Tally(
        {
            Standing.PENDING: pending,
            Standing.SUCCEEDED: succeeded,
            Standing.FAILED: failed,
            Standing.STALE: stale,
            Standing.UNDECIDED: undecided,
        },
        unsettled,
    )
    if failed:
        made.set_failure(D1, Failure(at(1), D1, "no image"))
    return made


def decided(
    counted: Tally,
    *,
    stored: Json | None = None,
    generation: int = 1,
    seconds: float = 0,
    trouble: Trouble | None = None,
) -> Json:
    status = decide_status(deployment(status=stored, generation=generation), counted, at(seconds), trouble)
    assert status is not None
    return status


def condition(status: Json, of_type: str = "Ready") -> Mapping[str, object]:
    conditions = cast("list[Mapping[str, object]]", status["conditions"])
    (found,) = [c for c in conditions if c.get("type") == of_type]
    return found


def since(status: Json, of_type: str = "Ready") -> object:
    return condition(status, of_type)["lastTransitionTime"]


@pytest.mark.rule("S1", "S2", "S3", "S4")
def test_the_aggregate_tells_the_counts() -> None:
    """Four disjoint counts, and matched is their sum."""
    status = decided(tally(pending=1, succeeded=2, stale=4))
    assert status["aggregate"] == {"matched": 7, "succeeded": 2, "pending": 1, "failed": 0, "stale": 4}


@pytest.mark.rule("S7")
def test_the_last_error_is_there_while_one_is_failed() -> None:
    """A failure is shown with its device, its message and its time."""
    aggregate = decided(tally(failed=1))["aggregate"]
    assert isinstance(aggregate, dict)
    assert aggregate["lastError"] == {"device": "d1", "message": "no image", "at": "2026-01-01T00:00:01.000000Z"}


@pytest.mark.rule("L2")
def test_a_status_stays_while_nobody_can_know() -> None:
    """One pair whose device may be silent leaves the whole status as it is."""
    assert decide_status(deployment(), tally(succeeded=5, undecided=1), at(0)) is None
    assert decide_status(deployment(), tally(succeeded=5, undecided=1), at(0), Trouble("WriteFailed", "x")) is None


@pytest.mark.rule("S9")
@pytest.mark.parametrize(
    ("counted", "status", "reason", "message"),
    [
        (tally(), "False", "NoDevices", "no device matches the selector"),
        (tally(pending=1, failed=1, stale=1), "False", "DevicesFailed", "1 of 3 devices failed"),
        (tally(pending=1, succeeded=1, stale=1), "False", "Progressing", "1 of 3 devices run this deployment"),
        (tally(succeeded=1, stale=1), "False", "DevicesStale", "1 of 2 devices are silent"),
        (tally(stale=1), "False", "DevicesStale", "1 of 1 devices are silent"),
        (tally(succeeded=2), "True", "AllSucceeded", "all 2 devices run this deployment"),
    ],
)
def test_ready_says_why(counted: Tally, status: str, reason: str, message: str) -> None:
    """Ready is true once at least one device matches and all succeeded, and otherwise names the first reason."""
    ready = condition(decided(counted))
    assert (ready["status"], ready["reason"], ready["message"]) == (status, reason, message)


@pytest.mark.rule("S10")
@pytest.mark.parametrize(
    ("counted", "trouble", "expected"),
    [
        (tally(succeeded=2), None, ("True", "AllWritten", "all 2 keys hold this deployment")),
        (tally(), None, ("True", "AllWritten", "all 0 keys hold this deployment")),
        (tally(pending=3, unsettled=2), None, ("False", "Writing", "1 of 3 keys hold this deployment")),
        (tally(pending=3, unsettled=2), Trouble("WriteFailed", "timeout"), ("False", "WriteFailed", "timeout")),
        (tally(succeeded=2), Trouble("SweepHeld", "9 keys wait"), ("False", "SweepHeld", "9 keys wait")),
    ],
)
def test_synced_says_why(counted: Tally, trouble: Trouble | None, expected: tuple[str, str, str]) -> None:
    """Synced is true once every wanted key is as it should be; trouble goes before what is merely under way."""
    synced = condition(decided(counted, trouble=trouble), "Synced")
    assert (synced["status"], synced["reason"], synced["message"]) == expected


@pytest.mark.rule("S8")
def test_the_generation_is_the_one_that_was_counted_for() -> None:
    """An edit shows in observedGeneration even if no count changes, in the conditions too."""
    first = decided(tally(succeeded=1))
    second = decided(tally(succeeded=1), stored=first, generation=2)
    assert (first["observedGeneration"], second["observedGeneration"]) == (1, 2)
    assert [condition(second, name)["observedGeneration"] for name in ("Ready", "Synced")] == [2, 2]


tallies = st.builds(
    lambda pending, succeeded, failed, stale, unsettled: tally(
        pending=pending, succeeded=succeeded, failed=failed, stale=stale, unsettled=min(pending, unsettled)
    ),
    *[st.integers(0, 2)] * 5,
)


@pytest.mark.rule("S12")
@given(tallies, st.none() | st.just(Trouble("SweepHeld", "9 keys wait")))
def test_an_unchanged_status_is_not_patched(counted: Tally, trouble: Trouble | None) -> None:
    """What was decided and stored once is not decided again, however late it is."""
    status = decided(counted, trouble=trouble)
    assert decide_status(deployment(status=status), counted, at(5000), trouble) is None


@pytest.mark.rule("S11")
def test_the_transition_time_moves_only_when_a_condition_flips() -> None:
    """Counts, reasons and messages may change while a condition keeps its status: then it keeps its time too."""
    first = decided(tally(pending=2, unsettled=1))
    second = decided(tally(failed=1, succeeded=1), stored=first, seconds=60.5)
    assert condition(second)["reason"] == "DevicesFailed"
    assert since(second) == since(first) == "2026-01-01T00:00:00Z"
    assert since(second, "Synced") == "2026-01-01T00:01:00Z"
    third = decided(tally(succeeded=2), stored=second, seconds=120.5)
    assert since(third) == "2026-01-01T00:02:00Z"
    assert since(third, "Synced") == "2026-01-01T00:01:00Z"


@pytest.mark.rule("S11")
def test_conditions_of_others_stay_where_they_are() -> None:
    """Ours are replaced in their places or put behind; theirs are neither moved nor changed."""
    theirs = [{"type": "Audited", "status": "True", "by": "somebody"}, {"type": "Billed"}]
    stored = {"conditions": [theirs[0], {"type": "Synced", "status": "True"}, theirs[1]]}
    conditions = decided(tally(succeeded=1), stored=stored)["conditions"]
    assert isinstance(conditions, list)
    assert [c["type"] for c in conditions] == ["Audited", "Synced", "Billed", "Ready"]
    assert [conditions[0], conditions[2]] == theirs


@pytest.mark.rule("S11")
@pytest.mark.parametrize(
    "conditions",
    [
        None,
        "text",
        [3, None],
        [{"status": "False"}],
        [{"type": "Ready"}],
        [{"type": "Ready", "status": "False", "lastTransitionTime": 7}],
        [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}],
    ],
)
def test_a_broken_condition_is_replaced(conditions: object) -> None:
    """Whatever somebody wrote into the conditions, ours is decided afresh, with a time of its own."""
    status = decided(tally(pending=1), stored={"conditions": conditions})
    assert (condition(status)["status"], since(status)) == ("False", "2026-01-01T00:00:00Z")


@pytest.mark.rule("S12")
def test_the_patch_is_fenced_and_removes_an_old_error() -> None:
    """A merge patch carries the version it was decided against, and names what it removes."""
    status = decided(tally(succeeded=1))
    patch = status_patch(deployment(version="42"), status)
    assert patch["metadata"] == {"resourceVersion": "42"}
    stored = patch["status"]
    assert isinstance(stored, dict)
    assert stored["aggregate"] == {
        "matched": 1,
        "succeeded": 1,
        "pending": 0,
        "failed": 0,
        "stale": 0,
        "lastError": None,
    }
    assert stored["conditions"] == status["conditions"]


@pytest.mark.rule("S7", "S12")
def test_the_patch_keeps_the_last_error() -> None:
    """With a failure the patch is the status as it was decided."""
    status = decided(tally(failed=1))
    assert status_patch(deployment(), status)["status"] == status
