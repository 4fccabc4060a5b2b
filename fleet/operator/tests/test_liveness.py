"""Who is silent, by the broker's clock. `test_model.py` compares it with one loop over all devices."""

import pytest

from fleet.operator.liveness import Liveness, Verdict
from fleet.operator.tests.samples import D1, D2, LIMIT_S
from fleet.wire import device_id

CLOCKS_APART_S = 1e9
"""The broker's clock minus ours: nothing may depend on it."""


class Watch:
    """A liveness that has a connection, and both clocks at one second of the story."""

    def __init__(self, *, connected: bool = True) -> None:
        self.liveness = Liveness(LIMIT_S)
        self.open(0.0)
        if connected:
            self.liveness.connected(0.0)

    def open(self, second: float, *, created: float = 0.0) -> None:
        self.liveness.opened(created + CLOCKS_APART_S, second + CLOCKS_APART_S, second)

    def beat(self, second: float, *names: str) -> bool:
        """Every one of them beats. True if the verdict of one of them may have changed."""
        news = [self.liveness.beat(device_id(name), second + CLOCKS_APART_S) for name in names or ("d1",)]
        return any(news)

    def advance(self, second: float) -> tuple[list[str], bool]:
        changed, unheard = self.liveness.advance(second)
        return list(changed), unheard

    def verdict(self, name: str = "d1") -> Verdict:
        return self.liveness.verdict(device_id(name))


@pytest.mark.rule("L1", "L2")
@pytest.mark.parametrize(("second", "verdict"), [(90.0, Verdict.ALIVE), (90.001, Verdict.SILENT)])
def test_silent_is_older_than_the_limit(second: float, verdict: Verdict) -> None:
    """A beat counts for the limit and no longer, when as long a connection or a later beat proves it."""
    watch = Watch()
    watch.beat(0.0)
    watch.advance(second)
    assert watch.verdict() is verdict
    other = Watch(connected=False)
    other.beat(0.0, "d1")
    other.beat(second, "d2")
    other.advance(second)
    assert other.verdict() is verdict
    assert other.verdict("d2") is Verdict.ALIVE


@pytest.mark.rule("L2")
def test_without_a_later_beat_or_a_long_connection_nobody_knows() -> None:
    """A broker that took no beats, or an operator that was away, makes nobody silent."""
    watch = Watch(connected=False)
    watch.beat(0.0)
    assert watch.advance(500.0) == (["d1"], False)
    assert watch.verdict() is Verdict.UNKNOWN
    watch.liveness.connected(500.0)
    assert watch.advance(590.0) == ([], False)
    assert watch.verdict() is Verdict.UNKNOWN
    assert watch.advance(590.1) == (["d1"], True)
    assert watch.verdict() is Verdict.SILENT


@pytest.mark.rule("L2")
def test_a_later_beat_must_be_later_than_the_limit() -> None:
    """Somebody's beat proves that the broker took beats up to then, and nothing after it."""
    watch = Watch(connected=False)
    watch.beat(0.0, "d1")
    watch.beat(60.0, "d2")
    watch.advance(120.0)
    assert watch.verdict("d1") is Verdict.UNKNOWN
    assert watch.verdict("d2") is Verdict.ALIVE
    watch.beat(91.0, "d2")
    assert watch.advance(120.0) == (["d1"], True)
    assert watch.verdict("d1") is Verdict.SILENT


@pytest.mark.rule("L2")
@pytest.mark.parametrize("reconnected", [False, True])
def test_the_first_beat_after_everybody_paused_says_nothing_of_the_others(*, reconnected: bool) -> None:
    """While the broker took no beats nobody could beat: whoever is back first does not make the others silent."""
    watch = Watch()
    watch.beat(0.0, "d1", "d2", "d3")
    if reconnected:
        watch.liveness.broken()
        watch.open(299.0)
        watch.beat(0.0, "d1", "d2", "d3")
        watch.liveness.connected(299.0)
    else:
        watch.liveness.connected(299.0)
    watch.beat(300.0, "d1")
    watch.advance(300.1)
    assert [watch.verdict(name) for name in ("d1", "d2", "d3")] == [Verdict.ALIVE, Verdict.UNKNOWN, Verdict.UNKNOWN]
    watch.beat(301.0, "d2")
    for second in (330.0, 360.0, 390.0, 391.0):
        watch.liveness.connected(second)
        watch.beat(second, "d1", "d2")
        watch.advance(second)
        assert watch.verdict("d2") is Verdict.ALIVE
        assert watch.verdict("d3") is (Verdict.SILENT if second > 390 else Verdict.UNKNOWN)


@pytest.mark.rule("L2")
@pytest.mark.parametrize(("pause_s", "verdict"), [(45.0, Verdict.SILENT), (45.1, Verdict.UNKNOWN)])
def test_a_short_pause_is_none(pause_s: float, verdict: Verdict) -> None:
    """Of half the limit and less: few devices, whose beats are far apart, prove as much as many."""
    watch = Watch()
    watch.beat(0.0, "d1", "d2")
    watch.beat(45.0, "d2")
    watch.liveness.connected(45.0)
    watch.beat(45.0 + pause_s, "d2")
    watch.beat(91.0, "d2")
    watch.advance(91.0)
    assert watch.verdict("d1") is verdict


@pytest.mark.rule("L2")
def test_a_first_replay_tells_of_no_pause() -> None:
    """Last beats alone are far apart where a device has been silent for long: then the others are proof enough."""
    watch = Watch(connected=False)
    watch.beat(0.0, "d1")
    watch.beat(500.0, "d2")
    watch.liveness.connected(500.0)
    watch.advance(500.0)
    assert watch.verdict("d1") is Verdict.SILENT


@pytest.mark.rule("L2")
def test_many_beats_are_loaded_in_a_first_replay_alone() -> None:
    """Later on the time between two beats means something, and each is looked at by itself."""
    liveness = Liveness(LIMIT_S)
    liveness.opened(created_s=0.0, broker_now_s=50.0, now_s=50.0)
    assert liveness.load({D1: 1.0, D2: 2.0}, 2)
    assert not liveness.load({D2: 3.0}, 1)
    assert not liveness.load({device_id("d3"): 3.0}, 2)
    liveness.connected(50.0)
    assert not liveness.load({device_id("d3"): 3.0}, 1)
    assert list(liveness.alive.items()) == [(D1, 1.0), (D2, 2.0)]


def test_a_broken_connection_begins_the_wait_again() -> None:
    """Only an unbroken connection counts: one that broke proves nothing about the time before."""
    watch = Watch()
    watch.beat(0.0)
    watch.liveness.broken()
    watch.advance(100.0)
    assert watch.verdict() is Verdict.UNKNOWN
    watch.open(110.0)
    watch.liveness.connected(110.0)
    watch.open(150.0)
    watch.advance(250.0)
    assert watch.verdict() is Verdict.UNKNOWN
    watch.liveness.connected(250.0)
    watch.advance(341.0)
    assert watch.verdict() is Verdict.SILENT


@pytest.mark.rule("L3")
def test_the_unheard_are_judged_by_the_creation_of_the_bucket() -> None:
    """A device that never beat is as silent as one whose last beat came with the bucket."""
    watch = Watch(connected=False)
    assert watch.verdict() is Verdict.UNKNOWN
    watch.beat(90.0, "d2")
    assert watch.advance(90.0) == ([], True)
    assert watch.verdict() is Verdict.ALIVE
    assert watch.advance(90.0) == ([], False)
    assert watch.advance(91.0) == ([], True)
    assert watch.verdict() is Verdict.UNKNOWN
    watch.beat(90.5, "d2")
    assert watch.advance(92.0) == ([], True)
    assert watch.verdict() is Verdict.SILENT
    assert not watch.liveness.has_beat(D1)
    assert watch.liveness.has_beat(D2)


@pytest.mark.rule("L3")
def test_a_bucket_that_was_made_again_gives_the_unheard_time() -> None:
    """The new bucket's creation stands for their last beat, and for nobody else's."""
    watch = Watch()
    watch.beat(0.0, "d2")
    watch.advance(91.0)
    assert watch.verdict() is Verdict.SILENT
    watch.open(1000.0, created=999.0)
    watch.liveness.connected(1000.0)
    assert watch.advance(1000.0) == ([], True)
    assert watch.verdict() is Verdict.ALIVE
    assert watch.verdict("d2") is Verdict.SILENT


@pytest.mark.rule("L4")
def test_silent_until_it_beats_again() -> None:
    """Neither a new connection nor a replay of its last beat revives a device; a new beat does."""
    watch = Watch()
    assert watch.beat(0.0)
    watch.advance(91.0)
    watch.liveness.broken()
    watch.open(92.0)
    assert not watch.beat(0.0)
    watch.liveness.connected(92.0)
    assert watch.verdict() is Verdict.SILENT
    assert watch.advance(93.0) == ([], False)
    assert watch.verdict() is Verdict.SILENT
    assert watch.beat(94.0)
    assert watch.verdict() is Verdict.ALIVE


@pytest.mark.rule("L3", "L4")
def test_the_unheard_are_silent_until_they_beat_too() -> None:
    """What a new connection cannot know yet was known before it; only another bucket begins anew."""
    watch = Watch()
    watch.advance(91.0)
    assert watch.verdict() is Verdict.SILENT
    watch.open(92.0)
    watch.liveness.connected(92.0)
    assert watch.advance(93.0) == ([], False)
    assert watch.verdict() is Verdict.SILENT
    assert watch.beat(94.0)
    assert watch.verdict() is Verdict.ALIVE


@pytest.mark.rule("L4")
def test_unknown_until_it_beats_again_or_is_silent() -> None:
    """A device about which nobody knows is alive by its next beat, and not by a replay of its last."""
    watch = Watch(connected=False)
    watch.beat(0.0)
    watch.advance(91.0)
    assert not watch.beat(0.0)
    assert watch.verdict() is Verdict.UNKNOWN
    assert watch.beat(92.0)
    assert watch.verdict() is Verdict.ALIVE


def test_a_beat_of_a_device_that_lives_is_no_news() -> None:
    """Nothing is to be judged anew by the next beat in time, which counts all the same."""
    watch = Watch()
    assert watch.beat(0.0)
    assert not watch.beat(60.0)
    assert watch.advance(149.0) == ([], True)
    assert watch.verdict() is Verdict.ALIVE


def test_beats_are_judged_in_the_order_of_storing() -> None:
    """Of many devices only those that are overdue change, whoever beat first once."""
    watch = Watch()
    watch.beat(0.0, "d1", "d2", "d3")
    watch.beat(50.0, "d1")
    assert watch.advance(100.0) == (["d2", "d3"], True)
    assert [watch.verdict(name) for name in ("d1", "d2", "d3")] == [Verdict.ALIVE, Verdict.SILENT, Verdict.SILENT]


@pytest.mark.parametrize("second", [0.0, 91.0])
def test_a_forgotten_device_is_unheard(second: float) -> None:
    """With its entry deleted a device is as one that never beat; forgetting it twice is fine."""
    watch = Watch()
    watch.beat(0.0, "d1", "d2")
    watch.advance(second)
    for _ in range(2):
        watch.liveness.forget(D1)
        assert not watch.liveness.has_beat(D1)
    assert watch.liveness.has_beat(D2)
    assert watch.verdict() is watch.liveness.of_unheard


@pytest.mark.rule("L1")
def test_before_the_bucket_was_opened_nobody_is_overdue() -> None:
    """Without the broker's clock there is nothing to judge by."""
    liveness = Liveness(LIMIT_S)
    liveness.beat(D1, 0.0)
    assert liveness.advance(1e12) == ([], True)
    assert liveness.verdict(D1) is Verdict.ALIVE
