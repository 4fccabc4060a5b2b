"""What a Deployment asks for, and how few values are compared to know it."""

import pytest

from fleet.operator import comparing
from fleet.operator.comparing import Comparisons
from fleet.operator.tests.samples import DB, WEB, deployment, desired
from fleet.wire import DesiredState


@pytest.mark.rule("K1")
@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (desired(), True),
        (desired(generation=2), True),
        (desired(uid="web-uid-2"), False),
        (desired(image="web:2"), False),
    ],
    ids=["same", "generation-alone", "uid", "score"],
)
def test_wanted_is_the_score_of_this_very_object(value: DesiredState, *, wanted: bool) -> None:
    """Its uid and its score; a generation alone changes nothing. Asked twice, it answers the same."""
    comparisons = Comparisons()
    assert [comparisons.is_wanted(deployment(), value) for _ in range(2)] == [wanted, wanted]


def test_comparing_many_values_remembers_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that differ from key to key are compared as well as those that are shared, in bounded memory."""
    monkeypatch.setattr(comparing, "_VALUES_REMEMBERED_MAX", 2)
    comparisons = Comparisons()
    images = ["web:1", "web:2", "web:3", "web:4", "web:1", "web:2"]
    wanted, remembered = [], []
    for image in images:
        wanted.append(comparisons.is_wanted(deployment(), desired(image=image)))
        remembered.append(len(comparisons._same_score[WEB]))
    assert wanted == [image == "web:1" for image in images]
    assert remembered == [1, 2, 1, 2, 1, 2]
    assert DB not in comparisons._same_score


def test_a_shared_value_is_compared_once() -> None:
    comparisons = Comparisons()
    assert all(comparisons.is_wanted(deployment(), desired()) for _ in range(3))
    assert len(comparisons._same_score[WEB]) == 1


def test_what_is_forgotten_is_compared_anew() -> None:
    """What a comparison gave holds for that score only; whoever asks for another one first forgets."""
    comparisons = Comparisons()
    assert comparisons.is_wanted(deployment(), desired())
    comparisons.forget(WEB)
    assert WEB not in comparisons._same_score
    assert not comparisons.is_wanted(deployment(image="web:2"), desired())
    comparisons.forget(DB)
