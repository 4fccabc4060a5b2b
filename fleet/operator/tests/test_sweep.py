"""The brake: a few orphans go, many wait for exactly their own approval."""

from collections.abc import Sequence

import pytest

from fleet.operator.sweep import KEYS_FREE, Brake
from fleet.operator.tests.samples import pair
from fleet.wire import Pair


def keys(first: int, last: int) -> list[Pair]:
    return sorted(pair(f"d{number:04}") for number in range(first, last + 1))


class Sweep:
    """A brake, and a clock that a test moves."""

    def __init__(self) -> None:
        self.brake = Brake()
        self.now_s = 1000.0

    def look(
        self,
        orphans: Sequence[Pair],
        *,
        live_keys: int = 100,
        empty: Sequence[str] = (),
        going: Sequence[str] = (),
        approved: str | None = None,
        after_s: float = 1.0,
    ) -> list[Pair]:
        self.now_s += after_s
        return self.brake.release(
            orphans, live_keys=live_keys, empty=empty, going=going, approved=approved, now_s=self.now_s
        )

    @property
    def held_id(self) -> str:
        assert self.brake.held is not None
        return self.brake.held.id


@pytest.fixture
def sweep() -> Sweep:
    return Sweep()


@pytest.mark.rule("B1")
@pytest.mark.parametrize(
    ("count", "live_keys", "goes"), [(20, 20, True), (21, 20, False), (50, 1000, True), (51, 1000, False)]
)
def test_as_many_as_are_free_go(sweep: Sweep, count: int, live_keys: int, goes: bool) -> None:
    """Up to max(20, 5 % of the live keys) are swept at once, and one more makes all of them wait."""
    orphans = keys(1, count)
    assert sweep.look(orphans, live_keys=live_keys) == (orphans if goes else [])
    assert (sweep.brake.held is None) is goes


@pytest.mark.rule("B1")
def test_nothing_waits_where_nothing_is_to_go(sweep: Sweep) -> None:
    """No orphans: nothing is released and nothing is held."""
    assert sweep.look([]) == []
    assert sweep.brake.held is None


@pytest.mark.rule("B1")
def test_what_was_swept_within_a_minute_counts(sweep: Sweep) -> None:
    """A trickle adds up: the minute begins when a key was seen to be gone."""
    assert sweep.look(keys(1, 12)) == keys(1, 12)
    assert sweep.look([]) == []
    assert sweep.look(keys(13, 21), after_s=60.0) == []
    assert sweep.brake.held is not None
    assert sweep.brake.held.reason == "9 of 100 keys would go beside 12 in the last minute, and 20 may without approval"
    assert sweep.look(keys(13, 21), after_s=0.5) == keys(13, 21)
    assert sweep.brake.held is None


@pytest.mark.rule("B1")
def test_a_sweep_under_way_is_counted_once(sweep: Sweep) -> None:
    """Keys whose deletes take some looks do not add up with themselves."""
    for _ in range(5):
        assert sweep.look(keys(1, 15)) == keys(1, 15)
    assert sweep.look(keys(1, 20)) == keys(1, 20)
    assert sweep.look(keys(1, 21)) == []


@pytest.mark.rule("B1")
def test_a_key_that_comes_back_counts_twice(sweep: Sweep) -> None:
    """Deleted and written again by somebody: each delete of it counts."""
    assert sweep.look(keys(1, 15)) == keys(1, 15)
    assert sweep.look([]) == []
    assert sweep.look(keys(1, 15)) == []


@pytest.mark.rule("B1")
def test_what_was_approved_does_not_count(sweep: Sweep) -> None:
    """A set that somebody approved takes nothing from what is free."""
    sweep.look(keys(1, 15))
    sweep.look(keys(1, 40))
    assert sweep.look(keys(1, 40), approved=sweep.held_id) == keys(1, 40)
    assert sweep.look(keys(41, 60)) == keys(41, 60)


@pytest.mark.rule("B2")
@pytest.mark.parametrize(
    ("empty", "said"),
    [
        (["Deployments"], "no Deployments at all"),
        (["Devices"], "no Devices at all"),
        (["Deployments", "Devices"], "no Deployments and no Devices at all"),
    ],
)
def test_an_empty_list_makes_one_key_wait(sweep: Sweep, empty: list[str], said: str) -> None:
    """An API server that lists none of a kind is no reason to delete a single key, nor is one that lists the first."""
    assert sweep.look(keys(1, 1), live_keys=1, empty=empty) == []
    assert sweep.brake.held is not None
    assert said in sweep.brake.held.reason
    assert sweep.look(keys(1, 1), live_keys=1) == []
    assert sweep.look(keys(1, 1), live_keys=1, approved=sweep.held_id) == keys(1, 1)
    assert sweep.brake.held is None


@pytest.mark.rule("B2")
def test_an_empty_list_over_an_empty_bucket_is_fine(sweep: Sweep) -> None:
    """Where no key is stored, an empty list says nothing odd: what is left are reports without keys."""
    assert sweep.look(keys(1, 20), live_keys=0, empty=["Deployments"]) == keys(1, 20)
    assert sweep.look(keys(1, 21), live_keys=0, empty=["Deployments"]) == []


@pytest.mark.rule("B2")
def test_an_empty_list_without_orphans_asks_nobody(sweep: Sweep) -> None:
    """Keys that objects account for are no sweep."""
    assert sweep.look([], live_keys=5, empty=["Devices"]) == []
    assert sweep.brake.held is None


@pytest.mark.rule("B3")
def test_the_approved_set_goes_as_a_whole(sweep: Sweep) -> None:
    """What waits is named by an id; approved, the very set goes, and so does what is left of it later."""
    orphans = keys(1, 30)
    assert sweep.look(orphans) == []
    assert sweep.look(orphans, approved=sweep.held_id) == orphans
    assert sweep.brake.held is None
    assert sweep.look(keys(5, 30)) == keys(5, 30)


@pytest.mark.rule("B3")
def test_another_id_approves_nothing(sweep: Sweep) -> None:
    """No approval, one of another set, and a text that is no id leave all of it waiting."""
    assert sweep.look(keys(1, 30)) == []
    smaller = sweep.held_id
    for approved in (None, "", "0123456789ab"):
        assert sweep.look(keys(1, 30), approved=approved) == []
        assert sweep.held_id == smaller
    assert sweep.look(keys(1, 31), approved=smaller) == []
    assert sweep.held_id != smaller


@pytest.mark.rule("B3")
def test_a_set_that_grows_after_its_approval_is_held_for_the_rest(sweep: Sweep) -> None:
    """The approved keys go on; those that came after them wait under an id of their own."""
    sweep.look(keys(1, 30))
    approved = sweep.held_id
    sweep.look(keys(1, 30), approved=approved)
    assert sweep.look(keys(1, 55), approved=approved) == keys(1, 30)
    assert sweep.brake.held is not None
    assert sweep.brake.held.count == 25
    assert sweep.look(keys(1, 50), approved=approved) == keys(1, 30)
    assert sweep.look(keys(1, 50), approved=sweep.held_id) == keys(1, 50)


@pytest.mark.rule("B6")
def test_what_waited_goes_on_waiting(sweep: Sweep) -> None:
    """An administrator applies one object after the other: the keys of the last few are not free to go."""
    assert sweep.look(keys(1, 30), live_keys=30, empty=["Deployments"]) == []
    for left in (21, 20, 1):
        assert sweep.look(keys(1, left), live_keys=30) == []
    assert sweep.brake.held is not None
    assert sweep.brake.held.reason == "1 of 30 keys would go, and 1 of them waited when more were to go"
    assert sweep.look([], live_keys=30) == []
    assert sweep.look(keys(1, 20), live_keys=30) == keys(1, 20)


@pytest.mark.rule("K8")
def test_no_yes_helps_while_a_definition_goes(sweep: Sweep) -> None:
    """Approved before or during it: nothing goes, it is said why, and the yes is void."""
    sweep.look(keys(1, 30))
    approved = sweep.held_id
    assert sweep.look(keys(1, 30), approved=approved) == keys(1, 30)
    assert sweep.look(keys(1, 30), approved=approved, going=["devices"]) == []
    assert sweep.brake.held is not None
    assert sweep.brake.held.reason == "the definition of devices is being deleted, and 100 keys are stored"
    assert sweep.look(keys(1, 30)) == []
    assert sweep.look([], going=["devices"]) == []
    assert sweep.brake.held is None


@pytest.mark.rule("B3")
def test_an_approval_is_not_kept_for_keys_that_are_gone(sweep: Sweep) -> None:
    """A key that was swept with approval and comes back is an orphan like any other."""
    sweep.look(keys(1, 30))
    sweep.look(keys(1, 30), approved=sweep.held_id)
    assert sweep.look([]) == []
    assert sweep.look(keys(1, 30)) == []


@pytest.mark.rule("B3")
def test_an_id_is_the_same_in_every_process() -> None:
    """Two operators, and one that restarted, ask for the same set by the same id."""
    first, second = Sweep(), Sweep()
    first.look(keys(1, 30))
    second.look(keys(2, 31))
    second.look(keys(1, 30))
    assert first.held_id == second.held_id
    assert len(first.held_id) == 12


@pytest.mark.rule("B4")
def test_a_held_sweep_says_what_it_is_about(sweep: Sweep) -> None:
    """An administrator sees how many, why, and the first ten keys."""
    sweep.look(keys(1, KEYS_FREE + 1))
    held = sweep.brake.held
    assert held is not None
    assert held.count == KEYS_FREE + 1
    assert held.examples == tuple(f"d{number:04}.web" for number in range(1, 11))
    assert held.reason == "21 of 100 keys would go, and 20 may without approval"
