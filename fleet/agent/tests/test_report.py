"""What is said of a deployment, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from fleet.agent import report
from fleet.agent.attempts import Attempts
from fleet.agent.health import Health
from fleet.agent.memory import STUCK_S, Memory
from fleet.agent.model import Failure, Reason
from fleet.agent.report import ServiceState, Summary
from fleet.agent.tests.fake_podman import service
from fleet.agent.tests.scenes import CREATED, EXITED, NOW_S, OTHER, RUNNING, box, of, scene, spec
from fleet.wire import DeviceState, HealthCheck, Owner, Phase, Service

V1, V2 = spec("v1"), spec("v2")
_PLAIN = service("one", "v2")
CHECKED = of(Service(_PLAIN.name, _PLAIN.image, health_check=HealthCheck(("/probe",))))
BAD = Failure(Reason.START_FAILED, "no")
AT = datetime(2026, 11, 21, tzinfo=UTC)
ME = Owner("uid", 1)


@pytest.mark.rule("A21", "A22")
def test_service_without_a_check() -> None:
    """Up while its right container runs, whatever failed before; the id is told once it was started."""
    tried = Memory(raising=Attempts(V2.digest).failed(BAD, NOW_S, 0.0))
    for containers, memory, state in [
        ([], Memory(), ServiceState("one", None, up=False)),
        ([], tried, ServiceState("one", None, up=False, failure=BAD)),
        ([box(V1, RUNNING)], Memory(), ServiceState("one", None, up=False)),
        ([box(V2, CREATED)], Memory(), ServiceState("one", None, up=False)),
        ([box(V2, EXITED)], tried, ServiceState("one", "one-v2", up=False, failure=BAD)),
        ([box(V2, RUNNING)], tried, ServiceState("one", "one-v2", up=True)),
    ]:
        assert report.service_state(scene(V2, *containers, memory=memory), V2, Health()) == state


@pytest.mark.rule("A21")
def test_service_with_a_check() -> None:
    """Up once it passed; not known before; failed with the words of the check."""
    at = scene(CHECKED, box(CHECKED, RUNNING))
    assert report.service_state(at, CHECKED, Health().passed()).up is True
    assert report.service_state(at, CHECKED, Health()).up is None
    failed = report.service_state(at, CHECKED, Health().failed("no answer", retries=1))
    assert (failed.up, failed.failure) == (False, Failure(Reason.UNHEALTHY, "no answer"))
    assert report.service_state(scene(CHECKED, box(CHECKED, EXITED)), CHECKED, Health().passed()).up is False


def test_one_that_does_not_go() -> None:
    """An old one that cannot be stopped is a failure while it may run, beside the new one too."""
    memory = Memory(clearing=Attempts("one-v1").failed(Failure(Reason.STOP_FAILED, "deaf"), NOW_S, 0.0))
    for new in (CREATED, RUNNING):
        state = report.service_state(scene(V2, box(V1, RUNNING), box(V2, new), memory=memory), V2, Health())
        assert (state.up, state.failure) == (False, Failure(Reason.STOP_FAILED, "deaf"))
    ended = scene(V2, box(V1, EXITED), box(V2, RUNNING), memory=memory)
    assert report.service_state(ended, V2, Health()).up is True
    begun = scene(V2, box(V1, RUNNING), box(V2, CREATED), memory=Memory(clearing=Attempts("one-v1")))
    assert report.service_state(begun, V2, Health()).failure is None


def test_one_that_is_stuck() -> None:
    """Paused for a minute is not yet told; after it the person is told what to do."""
    for for_s, reason in [(STUCK_S - 1, None), (STUCK_S, Reason.STUCK)]:
        memory = Memory(odd_since_s=NOW_S - for_s)
        state = report.service_state(scene(V2, box(V2, OTHER), memory=memory), V2, Health())
        assert (state.failure and state.failure.reason) == reason
    unseen = scene(V2, box(V2, OTHER))
    assert report.service_state(unseen, V2, Health()).failure is None


def _state(phase: Phase, **ids: str) -> DeviceState:
    return DeviceState(phase, AT, ME, ids)


UP, DOWN, UNKNOWN = (ServiceState("one", "c1", up=up) for up in (True, False, None))
FAILED = ServiceState("two", None, up=False, failure=BAD)


@pytest.mark.rule("A21", "A23")
@pytest.mark.parametrize(
    ("services", "last", "summary"),
    [
        ([UP], None, Summary(Phase.RUNNING, {"one": "c1"}, None)),
        ([UP, ServiceState("two", None, up=False)], None, Summary(Phase.PENDING, {"one": "c1"}, None)),
        ([UP, FAILED], None, Summary(Phase.FAILED, {"one": "c1"}, "two: StartFailed: no")),
        (
            [FAILED, ServiceState("a", None, up=False, failure=Failure(Reason.EXITED, "x"))],
            None,
            Summary(Phase.FAILED, {}, "two: StartFailed: no"),
        ),
        ([UNKNOWN], None, Summary(Phase.PENDING, {"one": "c1"}, None)),
        ([UNKNOWN], _state(Phase.RUNNING, one="c1"), Summary(Phase.RUNNING, {"one": "c1"}, None)),
        ([UNKNOWN], _state(Phase.RUNNING, one="c0"), Summary(Phase.PENDING, {"one": "c1"}, None)),
        ([UNKNOWN], _state(Phase.FAILED, one="c1"), Summary(Phase.PENDING, {"one": "c1"}, None)),
    ],
)
def test_sum(services: list[ServiceState], last: DeviceState | None, summary: Summary) -> None:
    """Running if all are up, Failed with the first failure in the order of the score, else Pending."""
    assert report.summed_up(services, last) == summary


@pytest.mark.rule("A23", "A24")
def test_refusal_and_silence() -> None:
    """A refusal fails what goes on; silence leaves what was last known."""
    running = Summary(Phase.RUNNING, {"one": "c1"}, None)
    assert report.refused(running, "no") == Summary(Phase.FAILED, {"one": "c1"}, "DesiredRefused: no")
    words = "RuntimeAway: gone"
    up = _state(Phase.RUNNING, one="c1")
    assert report.away(up, ME, "gone") == Summary(Phase.RUNNING, {"one": "c1"}, words)
    assert report.away(up, Owner("uid", 2), "gone") == Summary(Phase.PENDING, {"one": "c1"}, words)
    assert report.away(None, ME, "gone") == Summary(Phase.PENDING, {}, words)


@pytest.mark.rule("A24", "A25")
def test_only_changes_are_said_and_time_goes_forward() -> None:
    """Equal is nothing new; else the time is the clock's, but later than the last one's."""
    running = Summary(Phase.RUNNING, {"one": "c1"}, None)
    first = report.next_report(None, ME, running, AT)
    assert first == _state(Phase.RUNNING, one="c1")
    assert report.next_report(first, ME, running, AT + timedelta(days=1)) is None
    other = report.next_report(first, Owner("uid", 2), running, AT - timedelta(days=9))
    assert other is not None
    assert other.last_event_at == AT + timedelta(milliseconds=1)
    later = report.next_report(first, ME, Summary(Phase.PENDING, {}, None), AT + timedelta(seconds=5))
    assert later is not None
    assert later.last_event_at == AT + timedelta(seconds=5)


def test_end_of_time() -> None:
    """A report from the last year there is does not crash the next one."""
    end = DeviceState(Phase.RUNNING, datetime.max.replace(tzinfo=UTC), ME)
    following = report.next_report(end, ME, Summary(Phase.PENDING, {}, None), AT)
    assert following is not None
    assert following.last_event_at == end.last_event_at


def test_error_is_one_line_that_everybody_takes() -> None:
    """Line breaks, lone surrogates and endless words of a runtime do not spoil a report."""
    state = ServiceState("one", None, up=False, failure=Failure(Reason.CREATE_FAILED, "a\n b\ud800" + "c" * 9999))
    error = report.summed_up([state], None).last_error
    assert error is not None
    assert error.startswith("one: CreateFailed: a b?ccc")
    assert DeviceState(Phase.FAILED, AT, ME, {}, error).encode()
