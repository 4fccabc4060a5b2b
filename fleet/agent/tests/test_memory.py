"""What is remembered of a slot, and that nothing is done in a circle."""

from fleet.agent.attempts import Attempts
from fleet.agent.memory import Memory
from fleet.agent.model import Failure, Reason
from fleet.agent.steps import Create, Prepare, Remove, Start, Stop
from fleet.agent.tests.scenes import CREATED, EXITED, OTHER, RUNNING, box, spec

V1, V2 = spec("v1"), spec("v2")
BAD = Failure(Reason.CREATE_FAILED, "no")


def test_end_of_one_that_was_seen_to_run() -> None:
    """It counts once, however often it is seen; its exit code is told."""
    memory = Memory().seen(V1, [box(V1, RUNNING)], 10.0, 0.0)
    ended = memory.seen(V1, [box(V1, EXITED, code=3)], 11.0, 0.0)
    assert ended.raising.failure == Failure(Reason.EXITED, "it ended with exit code 3")
    assert ended.raising.not_before_s == 12.0
    assert ended.seen(V1, [box(V1, EXITED, code=3)], 11.5, 0.0).raising == ended.raising


def test_end_of_one_that_was_just_started() -> None:
    """It may end before anybody looks."""
    memory = Memory().seen(V1, [box(V1, CREATED)], 10.0, 0.0).done(Start(box(V1, CREATED)), 10.1)
    ended = memory.seen(V1, [box(V1, EXITED)], 10.2, 0.0)
    assert ended.raising.failure == Failure(Reason.EXITED, "it ended")


def test_one_that_nobody_saw_running_has_not_failed() -> None:
    """After a start of the machine everything has ended: it is started at once."""
    assert Memory().seen(V1, [box(V1, EXITED, code=137)], 10.0, 0.0).raising == Attempts(V1.digest)


def test_paused_one_has_not_ended() -> None:
    """Since when is remembered until it is over."""
    memory = Memory().seen(V1, [box(V1, RUNNING)], 10.0, 0.0).seen(V1, [box(V1, OTHER)], 11.0, 0.0)
    memory = memory.seen(V1, [box(V1, OTHER)], 12.0, 0.0)
    assert memory.raising.failure is None
    assert memory.odd_since_s == 11.0
    assert memory.seen(V1, [box(V1, RUNNING)], 13.0, 0.0).odd_since_s is None


def test_container_that_vanishes() -> None:
    """Seen or made, and then not there: that is a failure, once."""
    for memory in (
        Memory().seen(V1, [box(V1, RUNNING)], 10.0, 0.0),
        Memory().seen(V1, [], 10.0, 0.0).done(Create(V1), 10.0),
    ):
        gone = memory.seen(V1, [], 11.0, 0.0)
        assert gone.raising.failure == Failure(Reason.EXITED, "its container was removed")
        assert gone.seen(V1, [], 11.1, 0.0).raising == gone.raising
        assert memory.seen(V2, [], 11.0, 0.0).raising.failure is None


def test_prepared_until_a_creation_fails() -> None:
    """The image may have gone since."""
    memory = Memory().seen(V1, [], 10.0, 0.0).done(Prepare(V1), 10.0)
    assert memory.prepared == V1.digest
    failed = memory.failed(Create(V1), BAD, 11.0, 0.0)
    assert failed.prepared is None
    assert (failed.raising.what, failed.raising.failure) == (V1.digest, BAD)
    assert memory.failed(Prepare(V1), BAD, 11.0, 0.0).prepared == V1.digest
    assert memory.done(Create(V1), 11.0).prepared is None


def test_failure_to_stop_is_the_old_ones_and_a_taken_port_the_new_ones() -> None:
    """Each has its own pauses; those of the old one end with a new desired state."""
    memory = Memory().seen(V2, [box(V1, RUNNING), box(V2, CREATED)], 10.0, 0.0)
    stop = Stop(box(V1, RUNNING))
    port = memory.failed(stop, Failure(Reason.PORT_TAKEN, "80/TCP"), 10.0, 0.0)
    assert (port.raising.failures, port.clearing.failures) == (1, 0)
    deaf = memory.failed(stop, Failure(Reason.STOP_FAILED, "deaf"), 10.0, 0.0)
    assert (deaf.raising.failures, deaf.clearing.failures) == (0, 1)
    assert deaf.ordered_anew().clearing == Attempts()


def test_end_of_the_last_good_is_not_the_new_ones() -> None:
    """It has pauses of its own, whether it was seen to run, was started, or could not be."""
    memory = Memory().seen(V2, [], 9.0, 0.0).failed(Create(V2), BAD, 9.0, 0.0)
    old, ended = box(V1, RUNNING), box(V1, EXITED, code=3)
    ran = memory.seen(V2, [old], 10.0, 0.0).seen(V2, [ended], 11.0, 0.0)
    assert ran.keeping.failure == Failure(Reason.EXITED, "it ended with exit code 3")
    assert (ran.raising, ran.keeping.not_before_s) == (memory.raising, 12.0)
    again = ran.done(Start(ended), 12.0).seen(V2, [ended], 12.1, 0.0)
    assert (again.keeping.failures, again.keeping.not_before_s) == (2, 14.1)
    refused = again.failed(Start(ended), BAD, 14.2, 0.0)
    assert (refused.raising, refused.keeping.failures) == (memory.raising, 3)


def test_deed_without_an_effect_is_a_failure() -> None:
    """The runtime says that it stopped or removed one, and it is still there."""
    old, ended = box(V1, RUNNING), box(V1, EXITED)
    stopped, removed = Memory().done(Stop(old), 10.0), Memory().done(Remove(ended), 10.0)
    assert stopped.seen(None, [ended], 11.0, 0.0) == Memory()
    assert removed.seen(None, [], 11.0, 0.0) == Memory()
    lied = stopped.seen(None, [old], 11.0, 0.0)
    assert lied.clearing.failure == Failure(
        Reason.STOP_FAILED, "the runtime says that it stopped name-one-v1, which is running"
    )
    assert lied.seen(None, [old], 11.1, 0.0) == lied
    lied = removed.seen(None, [ended], 11.0, 0.0)
    assert lied.clearing.failure == Failure(
        Reason.STOP_FAILED, "the runtime says that it removed name-one-v1, which is exited"
    )
