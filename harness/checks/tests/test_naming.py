"""An operator that cannot know what a bucket holds says so, in /recovery or in a status."""

from harness.checks.naming import complains_of, named_in_time, refused_to_start
from harness.checks.tests.story import Story, settled, spec_of, status_of
from harness.history import Process, Recovery, SourceProgress

CHECK = named_in_time("desired-state", "start", 1.0)
PENDING = {"matched": 1, "succeeded": 0, "pending": 1, "failed": 0}


def unserved() -> Story:
    """An operator runs, and its fleet does not get what it should."""
    story = settled()
    story.process("spawned")
    story.recovery("Converged")
    story.deployment(counts=PENDING)
    story.mark("start")
    return story


def says(story: Story, phase: str, trouble: str | None, *, current: bool = False) -> int:
    source = SourceProgress(seen=0, expected=8, current=current, trouble=trouble)
    recovery = Recovery(at_s=story.at_s, process="operator-1", phase=phase, sources={"desired-state": source})
    return story.add(recovery)


def complains(story: Story, message: str) -> int:
    """The Deployment's Synced condition says so."""
    status = status_of(PENDING)
    status["conditions"] = [{"type": "Synced", "status": "False", "reason": "WriteFailed", "message": message}]
    return story.resource("Deployment", "app", spec=spec_of(), status=status)


def test_recovering_with_a_reason() -> None:
    """In time and to the end."""
    story = unserved()
    line = says(story, "Recovering", "8 messages are promised and do not come")
    says(story, "Recovering", "it holds 8 keys and the server told of 0")
    finding = CHECK(story.history())
    assert (finding.outcome, line in finding.evidence) == ("pass", True)


def test_converged_in_silence() -> None:
    """It says Converged at the end, and nothing complains."""
    story = unserved()
    assert CHECK(story.history()).outcome == "fail"
    says(story, "Recovering", "8 messages are promised and do not come")
    says(story, "Converged", None, current=True)
    assert "operator-1 is Converged at the end and nothing names desired-state" in CHECK(story.history()).reason


def test_recovering_without_a_reason() -> None:
    """For ever on its way, nobody knows why."""
    story = unserved()
    says(story, "Recovering", None)
    assert CHECK(story.history()).outcome == "fail"


def test_converged_with_a_complaint() -> None:
    """A status that names the bucket is no silence; one that names nothing is."""
    story = unserved()
    complains(story, "1 of 2 keys hold this deployment")
    assert CHECK(story.history()).outcome == "fail"
    line = complains(story, "desired-state: the broker acknowledged d.app and does not show it")
    finding = CHECK(story.history())
    assert (finding.outcome, line in finding.evidence) == ("pass", True)


def test_named_too_late() -> None:
    """Seconds of silence count."""
    story = unserved()
    story.passes(1.5)
    says(story, "Recovering", "8 messages are promised and do not come")
    assert "named for good 1.5" in CHECK(story.history()).reason
    assert CHECK(story.history()).outcome == "fail"


def test_a_broker_that_serves_it_after_all() -> None:
    """Then there is nothing to be silent about, and nothing was shown."""
    story = settled()
    story.process("spawned")
    story.mark("start")
    story.recovery("Converged")
    assert CHECK(story.history()).outcome == "inconclusive"


def test_nobody_lives() -> None:
    """No operator, or no such mark: nothing was looked at."""
    story = settled()
    story.mark("start")
    assert CHECK(story.history()).outcome == "inconclusive"
    assert named_in_time("desired-state", "no-such", 1.0)(story.history()).outcome == "inconclusive"


def test_a_refusal() -> None:
    """The code and the words; another end, other words, or none is red."""
    refusal = refused_to_start(3, "another program")
    story = Story()
    story.process("spawned")
    assert refusal(story.history()).outcome == "fail"
    story.add(Process(at_s=story.at_s, name="operator-1", event="exited", pid=1, exit_code=3, last_words="what?"))
    assert "ended with 3, not with 3 and 'another program'" in refusal(story.history()).reason
    story = Story()
    story.process("spawned")
    words = "stream KV_device-state exists: another program uses the name"
    story.add(Process(at_s=story.at_s, name="operator-1", event="exited", pid=1, exit_code=3, last_words=words))
    assert refusal(story.history()).outcome == "pass"
    assert refused_to_start(70, "another program")(story.history()).outcome == "fail"


def test_a_complaint() -> None:
    """Said of that source, while it was not current."""
    complaint = complains_of("desired-state", "another program")
    story = unserved()
    says(story, "Recovering", "connection lost")
    assert "said was ['connection lost']" in complaint(story.history()).reason
    line = says(story, "Recovering", "another program uses the name")
    says(story, "Converged", None, current=True)
    finding = complaint(story.history())
    assert (finding.outcome, finding.evidence) == ("pass", (line,))
    assert complains_of("device-state", "another program")(story.history()).outcome == "fail"
