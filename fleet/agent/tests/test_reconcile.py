"""The next step in a slot, from what is there."""

import math

import pytest

from fleet.agent.attempts import Attempts
from fleet.agent.memory import STUCK_S, Memory
from fleet.agent.model import Container, Failure, Reason, ServiceSpec
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Create, Prepare, Remove, Rest, Start, Step, Stop, Wait
from fleet.agent.tests.scenes import CREATED, EXITED, NOW_S, OTHER, RUNNING, box, scene, spec

V1, V2, V3 = spec("v1"), spec("v2"), spec("v3")
A80, A81 = spec("v1", "a", 80), spec("v2", "a", 81)
B81, B80 = spec("v1", "b", 81), spec("v2", "b", 80)
PLAIN_A = spec("v2", "a")
B_FREE = spec("v1", "b")
NEWS = Wait(math.inf)
BAD = Failure(Reason.START_FAILED, "no")
PREPARED = Memory(prepared=V2.digest)
PAUSED = Memory(prepared=V2.digest, raising=Attempts(V2.digest).failed(BAD, NOW_S, 0.0))
PAUSE = Wait(NOW_S + 1)


def cannot_clear(container: Container) -> Memory:
    return Memory(clearing=Attempts(container.id).failed(BAD, NOW_S, 0.0))


@pytest.mark.rule("A3", "A4")
@pytest.mark.parametrize(
    ("at", "step"),
    [
        pytest.param(scene(V2), Prepare(V2), id="nothing there"),
        pytest.param(scene(V2, memory=PREPARED), Create(V2), id="image there"),
        pytest.param(scene(V2, memory=PAUSED), PAUSE, id="could not be made lately"),
        pytest.param(scene(V3, memory=PAUSED), Prepare(V3), id="a pause is not the next version's"),
        pytest.param(scene(V2, box(V2, CREATED)), Start(box(V2, CREATED)), id="created"),
        pytest.param(scene(V2, box(V2, EXITED)), Start(box(V2, EXITED)), id="ended"),
        pytest.param(scene(V2, box(V2, EXITED), memory=PAUSED), PAUSE, id="ended lately"),
        pytest.param(scene(V2, box(V2, RUNNING)), Rest(), id="runs"),
        pytest.param(scene(V2, box(V2, RUNNING), memory=PAUSED), Rest(), id="runs after failures"),
        pytest.param(scene(None), Rest(), id="nothing wanted, nothing there"),
    ],
)
def test_alone(at: Scene, step: Step) -> None:
    """One container in its slot: made, started, left alone."""
    assert next_step(at) == step


@pytest.mark.rule("A5", "A6")
@pytest.mark.parametrize(
    ("at", "step"),
    [
        pytest.param(scene(V2, box(V1, RUNNING)), Prepare(V2), id="the old one runs on meanwhile"),
        pytest.param(scene(V2, box(V1, RUNNING), memory=PAUSED), PAUSE, id="and if there is no image"),
        pytest.param(scene(V2, box(V1, RUNNING), box(V2, CREATED)), Stop(box(V1, RUNNING)), id="created: stop the old"),
        pytest.param(scene(V2, box(V1, RUNNING), box(V2, CREATED), memory=PAUSED), PAUSE, id="a port was taken lately"),
        pytest.param(
            scene(V2, box(V1, EXITED), box(V2, CREATED)), Start(box(V2, CREATED)), id="stopped: start the new"
        ),
        pytest.param(
            scene(V2, box(V1, EXITED), box(V2, EXITED), memory=PAUSED), Remove(box(V1, EXITED)), id="tidied in a pause"
        ),
        pytest.param(scene(V2, box(V1, EXITED), box(V2, RUNNING)), Remove(box(V1, EXITED)), id="remove the old"),
        pytest.param(scene(V2, box(V1, RUNNING), box(V2, RUNNING)), Stop(box(V1, RUNNING)), id="somebody started it"),
        pytest.param(
            scene(V3, box(V1, RUNNING), box(V2, CREATED)), Prepare(V3), id="v3 comes before v2 ran: v1 runs on"
        ),
        pytest.param(
            scene(V3, box(V1, EXITED), box(V2, CREATED), box(V3, RUNNING)), Remove(box(V1, EXITED)), id="v3 runs"
        ),
        pytest.param(scene(V3, box(V2, CREATED), box(V3, RUNNING)), Remove(box(V2, CREATED)), id="v2 never ran"),
        pytest.param(
            scene(V1, box(V1, EXITED), box(V2, RUNNING)), Stop(box(V2, RUNNING)), id="back to v1, which is still there"
        ),
        pytest.param(
            scene(V1, box(V1, EXITED), box(V2, EXITED)), Start(box(V1, EXITED)), id="v1 is the right one again"
        ),
    ],
)
def test_roll(at: Scene, step: Step) -> None:
    """Prepare, create, stop, start, remove: each from what is there alone."""
    assert next_step(at) == step


def _kept_up(raising_at_s: float, keeping_at_s: float) -> Memory:
    """V2 cannot be made before the first time, and V1 was down lately, not to be tried before the second."""
    keeping = Attempts("one-v1", 1, BAD, keeping_at_s)
    return Memory(raising=Attempts(V2.digest, 1, BAD, raising_at_s), keeping=keeping)


@pytest.mark.rule("A5", "A6")
@pytest.mark.parametrize(
    ("at", "step"),
    [
        pytest.param(scene(V2, box(V1, EXITED)), Prepare(V2), id="first it is tried to make the new one"),
        pytest.param(scene(V2, box(V1, EXITED), memory=PAUSED), Start(box(V1, EXITED)), id="it cannot be made"),
        pytest.param(scene(V2, box(V1, CREATED), memory=PAUSED), Start(box(V1, CREATED)), id="after a power cut"),
        pytest.param(scene(V2, box(V1, OTHER), memory=PAUSED), PAUSE, id="paused by hand"),
        pytest.param(
            scene(V2, box(V1, EXITED), memory=_kept_up(NOW_S + 9, NOW_S + 4)), Wait(NOW_S + 4), id="it ended lately"
        ),
        pytest.param(
            scene(V2, box(V1, EXITED), memory=_kept_up(NOW_S + 4, NOW_S + 9)), Wait(NOW_S + 4), id="and for long"
        ),
        pytest.param(
            scene(V2, box(V1, EXITED), box(V2, CREATED), memory=PAUSED),
            Remove(box(V1, EXITED)),
            id="the new one was made: from then on only forward",
        ),
        pytest.param(
            scene(V3, box(V1, EXITED), box(V2, CREATED), memory=Memory(raising=Attempts(V3.digest, 1, BAD, NOW_S + 1))),
            PAUSE,
            id="nor if the one that was made is old by now",
        ),
        pytest.param(
            scene(
                [PLAIN_A, B80],
                box(A80, EXITED),
                box(B80, CREATED),
                memory=Memory(raising=Attempts(PLAIN_A.digest, 1, BAD, NOW_S + 1)),
            ),
            PAUSE,
            id="its port is promised to another service",
        ),
    ],
)
def test_last_good_while_the_new_one_cannot_be_made(at: Scene, step: Step) -> None:
    """It ended without us: it runs again until the new one is made."""
    assert next_step(at) == step


@pytest.mark.rule("A8")
@pytest.mark.parametrize(
    ("at", "step"),
    [
        pytest.param(scene(None, box(V1, RUNNING)), Stop(box(V1, RUNNING)), id="stop"),
        pytest.param(scene(None, box(V1, EXITED)), Remove(box(V1, EXITED)), id="remove one that ended"),
        pytest.param(scene(None, box(V1, CREATED)), Remove(box(V1, CREATED)), id="remove one that never ran"),
        pytest.param(scene(None, box(V1, EXITED), box(V2, RUNNING)), Stop(box(V2, RUNNING)), id="what runs goes first"),
        pytest.param(
            scene(None, box(V1, RUNNING), memory=cannot_clear(box(V1, RUNNING))), PAUSE, id="could not be stopped"
        ),
    ],
)
def test_dropped(at: Scene, step: Step) -> None:
    """A service that is not wanted is stopped, then removed."""
    assert next_step(at) == step


def test_failing_removal_does_not_hold_up_the_right_one() -> None:
    """The old one cannot be removed lately: the pause of the new one is waited for, and the new one is started."""
    old, new = box(V1, EXITED), box(V2, EXITED)
    both = Memory(raising=PAUSED.raising, clearing=cannot_clear(old).clearing)
    assert next_step(scene(V2, old, new, memory=both)) == PAUSE
    assert next_step(scene(V2, old, new, memory=cannot_clear(old))) == Start(new)
    assert next_step(scene(V2, old, box(V2, RUNNING), memory=cannot_clear(old))) == PAUSE


def test_twins() -> None:
    """Two of the right digest: the one that runs stays, else the first by id; the other goes."""
    a, b = "a", "b"
    for states, step in [
        ((EXITED, RUNNING), Remove(box(V2, EXITED, a))),
        ((RUNNING, EXITED), Remove(box(V2, EXITED, b))),
        ((RUNNING, RUNNING), Stop(box(V2, RUNNING, b))),
        ((EXITED, CREATED), Start(box(V2, EXITED, a))),
        ((CREATED, EXITED), Start(box(V2, CREATED, a))),
    ]:
        assert next_step(scene(V2, box(V2, states[0], a), box(V2, states[1], b))) == step


def _odd(*containers: Container, wanted: ServiceSpec | None = V2, for_s: float | None = 0.0) -> Scene:
    memory = Memory(odd_since_s=None if for_s is None else NOW_S - for_s)
    return scene(wanted, *containers, memory=memory)


def test_paused_container() -> None:
    """The right one is left alone, for ever; an old one for a minute, then it is stopped; nothing starts beside it."""
    minute = Wait(NOW_S + STUCK_S)
    old, new = box(V1, OTHER), box(V2, CREATED)
    assert next_step(_odd(box(V2, OTHER))) == minute
    assert next_step(_odd(box(V2, OTHER), for_s=STUCK_S)) == NEWS
    assert next_step(_odd(box(V2, OTHER), for_s=None)) == NEWS
    assert next_step(_odd(old, new)) == minute
    assert next_step(_odd(old, new, for_s=STUCK_S)) == Stop(old)
    assert next_step(_odd(old, wanted=None)) == minute
    assert next_step(_odd(old, wanted=None, for_s=STUCK_S)) == Stop(old)
    assert next_step(_odd(box(V2, OTHER), box(V1, RUNNING))) == Stop(box(V1, RUNNING))


@pytest.mark.rule("A9")
@pytest.mark.parametrize(
    ("at", "step"),
    [
        pytest.param(
            scene([B80, PLAIN_A], box(B_FREE, RUNNING), box(B80, CREATED), box(A80, RUNNING), box(PLAIN_A, CREATED)),
            NEWS,
            id="a's old one is about to go: b's old one runs on meanwhile",
        ),
        pytest.param(
            scene([B80, PLAIN_A], box(B_FREE, RUNNING), box(B80, CREATED), box(A80, EXITED)),
            Stop(box(B_FREE, RUNNING), frozenset({(80, "TCP")})),
            id="the port is free: now it goes, if nobody else has it",
        ),
        pytest.param(
            scene([B80], box(B80, CREATED), box(A80, RUNNING)),
            NEWS,
            id="a was dropped and still stops: b does not start",
        ),
        pytest.param(
            scene([B80], box(B80, CREATED), box(A80, EXITED)), Start(box(B80, CREATED)), id="a has stopped: b starts"
        ),
        pytest.param(
            scene([B80], box(B80, CREATED), box(B_FREE, EXITED), box(A80, RUNNING)),
            Remove(box(B_FREE, EXITED)),
            id="waiting is time to tidy up",
        ),
        pytest.param(
            scene([A81, B80], box(A80, RUNNING), box(A81, CREATED), box(B81, RUNNING), box(B80, CREATED)),
            Stop(box(A80, RUNNING)),
            id="two that swap let go at once",
        ),
        pytest.param(
            scene([A81, B80], box(A80, RUNNING), box(A81, CREATED), box(B81, RUNNING)),
            NEWS,
            id="but not before both are made",
        ),
        pytest.param(
            scene([A81, B80], box(A80, EXITED), box(A81, CREATED), box(B81, RUNNING), box(B80, CREATED)),
            Remove(box(A80, EXITED)),
            id="the other half of the swap is waited for: time to tidy up",
        ),
        pytest.param(
            scene([B80, A80], box(B80, CREATED), box(B_FREE, RUNNING), box(A80, RUNNING)),
            Stop(box(B_FREE, RUNNING), frozenset({(80, "TCP")})),
            id="a port of one that stays is not free: the probe will say so",
        ),
    ],
)
def test_ports_within_a_deployment(at: Scene, step: Step) -> None:
    """A port moves from one service to another: nobody starts too early, nobody stops for nothing."""
    assert next_step(at) == step


@pytest.mark.rule("A5")
def test_own_ports_are_not_probed() -> None:
    """The port that the old one holds is about to be free; a new one besides must be."""
    more = spec("v2", "a", 80, 81)
    at = scene(more, box(A80, RUNNING), box(more, CREATED))
    assert next_step(at) == Stop(box(A80, RUNNING), frozenset({(81, "TCP")}))
