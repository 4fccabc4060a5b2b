"""What is taken at once, what only if it is confirmed, and what is never taken."""

import pytest

from fleet.agent.desired import (
    Confirm,
    Held,
    Ignore,
    NoValue,
    Refuse,
    Standing,
    Take,
    TearDown,
    Tombstone,
    Word,
    judge,
    judge_confirmed,
)
from fleet.agent.tests.fake_podman import LIFECYCLE, service
from fleet.wire import DesiredState, Owner, Score


def held(generation: int = 2, uid: str = "uid", image: str = "v1", *, refused: bool = False) -> Held:
    desired = DesiredState(Owner(uid, generation), Score((service("one", image),), LIFECYCLE))
    return Held(desired.encode(), desired, refused)


NOW = held()
SPACED = Held(NOW.data.replace(b":", b": "), NOW.desired)


@pytest.mark.rule("A14", "A15", "A16")
@pytest.mark.parametrize(
    ("standing", "heard", "at_once", "confirmed"),
    [
        pytest.param(None, NOW.data, Take(NOW), Take(NOW), id="first word"),
        pytest.param(NOW, NOW.data, Ignore(), Ignore(), id="the same again"),
        pytest.param(NOW, held(3).data, Take(held(3)), Take(held(3)), id="higher generation"),
        pytest.param(NOW, held(1).data, Confirm(), Take(held(1)), id="lower generation"),
        pytest.param(NOW, held(2, image="v2").data, Confirm(), Take(held(2, image="v2")), id="other bytes"),
        pytest.param(NOW, SPACED.data, Confirm(), Take(SPACED), id="same value in other bytes"),
        pytest.param(NOW, held(9, "other").data, Confirm(), Take(held(9, "other")), id="another Deployment"),
        pytest.param(held(refused=True), NOW.data, Take(NOW), Take(NOW), id="the held one after a refusal"),
        pytest.param(NOW, NoValue.MARKER, Confirm(), TearDown(), id="deletion"),
        pytest.param(None, NoValue.MARKER, Confirm(), TearDown(), id="deletion of what nobody knows"),
        pytest.param(Tombstone(), NoValue.MARKER, Ignore(), Ignore(), id="deletion again"),
        pytest.param(Tombstone(), NOW.data, Confirm(), Take(NOW), id="after a deletion"),
        pytest.param(NOW, NoValue.ABSENT, Ignore(), Ignore(), id="absence"),
        pytest.param(None, NoValue.ABSENT, Ignore(), Ignore(), id="absence of what nobody knows"),
    ],
)
def test_verdicts(standing: Standing, heard: Word, at_once: object, confirmed: object) -> None:
    """Forward at once; a possible step back only if the leader says so; absence never."""
    assert judge(standing, heard) == at_once
    assert judge_confirmed(standing, heard) == confirmed


@pytest.mark.rule("A17")
@pytest.mark.parametrize("standing", [None, NOW, Tombstone()])
def test_what_cannot_be_understood(standing: Standing) -> None:
    """It is refused with the path of what is wrong, whoever says it."""
    unknown = NOW.data.replace(b'"owner"', b'"color":"red","owner"')
    assert judge(standing, unknown) == Refuse("'color': unknown field")
    assert judge_confirmed(standing, unknown) == Refuse("'color': unknown field")
    assert isinstance(judge(standing, b"{"), Refuse)
