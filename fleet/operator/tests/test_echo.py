"""A key whose write is on its way is not decided again before the world showed the write."""

import pytest

from fleet.operator.echo import Echoes


@pytest.fixture
def echoes() -> Echoes[str]:
    echoes: Echoes[str] = Echoes()
    echoes.began("k")
    return echoes


def test_a_key_waits_until_it_was_acknowledged_and_heard(echoes: Echoes[str]) -> None:
    """Acknowledged first, heard second: the news frees it."""
    assert not echoes.acknowledged("k")
    assert "k" in echoes
    assert echoes.heard("k")
    assert "k" not in echoes
    assert len(echoes) == 0


def test_the_echo_may_be_faster_than_the_acknowledgement(echoes: Echoes[str]) -> None:
    """Heard first, acknowledged second: the acknowledgement frees it."""
    assert not echoes.heard("k")
    assert "k" in echoes
    assert echoes.acknowledged("k")
    assert "k" not in echoes


def test_news_of_other_keys_frees_nothing(echoes: Echoes[str]) -> None:
    """Only news of the key itself counts."""
    assert not echoes.heard("other")
    assert "other" not in echoes
    assert not echoes.acknowledged("k")


def test_a_failed_write_waits_for_nothing(echoes: Echoes[str]) -> None:
    """After a failure the key is free, and a second write of it waits for its own echo."""
    echoes.heard("k")
    echoes.forget("k")
    assert "k" not in echoes
    echoes.began("k")
    assert not echoes.acknowledged("k")


@pytest.mark.parametrize("end", ["forget", "restarted"])
def test_an_acknowledgement_is_of_its_own_write(echoes: Echoes[str], end: str) -> None:
    """One that came before the waiting ended does not count for the next write of the key."""
    echoes.acknowledged("k")
    if end == "forget":
        echoes.forget("k")
    else:
        echoes.restarted()
    echoes.began("k")
    assert not echoes.heard("k")
    assert "k" in echoes


def test_a_replay_ends_all_waiting(echoes: Echoes[str]) -> None:
    """The replay tells all there is, and may have lost the write: every waiting key is to be decided again."""
    echoes.began("l")
    assert not echoes.acknowledged("l")
    assert echoes.restarted() == {"k", "l"}
    assert len(echoes) == 0
    # An acknowledgement that comes after it frees at once; the key was decided on what was there before.
    assert echoes.acknowledged("k")
