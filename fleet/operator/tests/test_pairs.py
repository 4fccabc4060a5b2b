"""Tables and sets of pairs against a dict and a set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.operator.pairs import PairSet, PairTable
from fleet.operator.tests.samples import D1, D2, DB, WEB, pair
from fleet.wire import DeviceId, Pair

pairs = st.builds(Pair, st.sampled_from([D1, D2]), st.sampled_from([WEB, DB]))


def check_table(table: PairTable[int], model: dict[Pair, int]) -> None:
    """Every way of asking gives the same; a row that is empty is not there."""
    assert dict(table) == dict(table.items()) == model
    assert len(table) == len(model)
    for known in (Pair(device, deployment) for device in (D1, D2) for deployment in (WEB, DB)):
        assert table.get(known) == model.get(known)
        assert (known in table) == (known in model)
    for deployment in (WEB, DB):
        row = {p.device: value for p, value in model.items() if p.deployment == deployment}
        assert table.of(deployment) == row
        assert (deployment in dict(table.rows())) == bool(row)


def load_both(table: PairTable[int], model: dict[Pair, int], load: list[tuple[Pair, int]]) -> None:
    told: list[tuple[Pair, int]] = []
    expected: list[tuple[Pair, int]] = []
    for known, value in load:
        if known in model:
            expected.append((known, value))
        else:
            model[known] = value
    new = table.load([known for known, _ in load], [value for _, value in load], lambda *p: told.append(p))
    assert told == expected
    assert new == len(load) - len(expected)


@given(st.lists(st.tuples(pairs, st.integers(0, 9) | st.none())))
def test_a_table_is_a_dict(steps: list[tuple[Pair, int | None]]) -> None:
    """Values come and go, one by one."""
    table, model = PairTable[int](), dict[Pair, int]()
    for known, value in steps:
        if value is None:
            assert table.pop(known, None) == model.pop(known, None)
        else:
            table[known] = model[known] = value
        check_table(table, model)


@given(st.lists(st.lists(st.tuples(pairs, st.integers(0, 9)))))
def test_a_load_tells_of_each_that_has_a_value(loads: list[list[tuple[Pair, int]]]) -> None:
    """Also of one that comes twice in a load. What is told of stays as it was."""
    table, model = PairTable[int](), dict[Pair, int]()
    for load in loads:
        load_both(table, model, load)
        check_table(table, model)


@given(st.lists(pairs), st.dictionaries(st.sampled_from([D1, D2]), st.integers(0, 9)), st.booleans())
def test_a_row_at_once(known: list[Pair], row: dict[DeviceId, int], replaced: bool) -> None:
    """A row is added to, or replaced; with nothing, it goes."""
    table, model = PairTable[int](), dict.fromkeys(known, 42)
    for one in known:
        table[one] = 42
    if replaced:
        table.replace_row(WEB, dict(row))
        model = {p: value for p, value in model.items() if p.deployment != WEB}
    else:
        table.update_row(WEB, row)
    check_table(table, model | {Pair(device, WEB): value for device, value in row.items()})


def test_what_is_not_there_is_a_key_error() -> None:
    """In a row, or without one; nothing is made by asking."""
    table = PairTable[int]()
    for _ in range(2):
        for known in (pair(), pair("d2")):
            with pytest.raises(KeyError):
                table[known]
            with pytest.raises(KeyError):
                del table[known]
        check_table(table, {})
        table[pair(deployment="db")] = 1
        del table[pair(deployment="db")]
    table[pair()] = 1
    with pytest.raises(KeyError):
        del table[pair("d2")]


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "update", "difference_update", "update_row"]), pairs)))
def test_a_set_is_a_set(steps: list[tuple[str, Pair]]) -> None:
    """Pairs come and go, one by one or many at once."""
    ours, model = PairSet(), set[Pair]()
    for step, known in steps:
        match step:
            case "add" | "discard":
                getattr(ours, step)(known)
                getattr(model, step)(known)
            case "update" | "difference_update":
                getattr(ours, step)([known, pair()])
                getattr(model, step)([known, pair()])
            case _:
                ours.update_row(known.deployment, {known.device, D2})
                model.update({known, Pair(D2, known.deployment)})
        assert set(ours) == model
        assert len(ours) == len(model)
        assert all((p in ours) == (p in model) for p in (known, pair(), pair("d2", "db")))
    ours.update_row(WEB, [])
    assert set(PairSet(ours)) == model
    ours.clear()
    assert not ours
