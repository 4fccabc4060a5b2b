"""Capabilities: all have a typed answer in seconds, each is tried once, and nothing is left behind."""

import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.capability import (
    CAPABILITIES,
    Available,
    Capability,
    ProbeResult,
    Reason,
    Unavailable,
    probe_all,
    probing,
    programs,
)
from harness.errors import HarnessError
from harness.services import procfs
from harness.tests.probed import answer
from harness.toolchain import CATALOGUE, GoSource


def test_this_machine_is_probed_in_seconds_and_nothing_stays(mark: str) -> None:
    """All real probes give a typed answer and leave no process, namespace, descriptor or thread."""

    def names_below(folder: str) -> set[str]:
        return {path.name for path in Path(folder).glob("*")} if Path(folder).exists() else {"no such folder"}

    before = names_below("/run/netns"), len(names_below("/proc/self/fd")), set(threading.enumerate())
    results = {capability.name: answer(capability.probe) for capability in CAPABILITIES}
    assert {*map(type, results.values())} <= {Available, Unavailable}
    assert all(result.detail and "\n" not in result.detail for result in results.values())
    assert procfs.with_environment(mark) == []
    assert (names_below("/run/netns"), len(names_below("/proc/self/fd")), set(threading.enumerate())) == before
    for name, program in (("strace-inject", "strace"), ("netns", "ip"), ("docker", "docker"), ("podman", "podman")):
        if shutil.which(program) is None:
            assert results[name] == Unavailable(Reason.MISSING_PROGRAM, f"{program} is not on PATH")


def test_every_row_tells_a_person_what_to_do() -> None:
    """No text of a row is empty, names are unique, and each built program has a figure for its build."""
    assert len({capability.name for capability in CAPABILITIES}) == len(CAPABILITIES)
    for row in CAPABILITIES:
        assert all((row.title, row.used_for, row.enable)), row.name
    built = {tool for tool in CATALOGUE if isinstance(tool.source, GoSource)}
    assert built == programs._BUILD_MINUTES.keys()


def set_capabilities(monkeypatch: pytest.MonkeyPatch, **probes: Callable[[], ProbeResult]) -> None:
    rows = tuple(Capability(name, name, name, name, probe) for name, probe in probes.items())
    monkeypatch.setattr(probing, "CAPABILITIES", rows)
    monkeypatch.setattr(probing, "_results", {})


def test_each_is_probed_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, alone or with others, a capability is not tried again; the order is the caller's."""
    tried: list[str] = []

    def probe(name: str) -> ProbeResult:
        tried.append(name)
        return Available(name)

    set_capabilities(monkeypatch, one=partial(probe, "one"), two=partial(probe, "two"))
    assert probe_all(["two"]) == {"two": Available("two")}
    assert list(probe_all()) == ["one", "two"]
    assert list(probe_all(["two", "one"])) == ["two", "one"]
    assert sorted(tried) == ["one", "two"]
    assert probe_all([]) == {}


def test_probes_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two probes that wait for each other both come through."""
    meeting = threading.Barrier(2, timeout=10)

    def meet() -> ProbeResult:
        meeting.wait()
        return Available("met")

    set_capabilities(monkeypatch, one=meet, two=meet)
    assert set(probe_all().values()) == {Available("met")}


def test_system_error_of_a_probe_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses is a typed answer; a bug of a probe is not hidden."""

    def refused() -> ProbeResult:
        raise PermissionError(13, "Permission denied")

    def full() -> ProbeResult:
        raise OSError(28, "No space left on device")

    def bug() -> ProbeResult:
        raise ZeroDivisionError

    set_capabilities(monkeypatch, refused=refused, full=full, bug=bug)
    results = probe_all(["refused", "full"])
    assert [r.reason for r in results.values() if isinstance(r, Unavailable)] == [
        Reason.NOT_PERMITTED,
        Reason.DOES_NOT_WORK,
    ]
    with pytest.raises(ZeroDivisionError):
        probe_all()


def test_unknown_name_is_told() -> None:
    """A name that no row has is an error that lists those there are."""
    with pytest.raises(HarnessError, match=r"no capability named 'kvmm'; there are: nats-server, .*kvm"):
        probe_all(["kvmm"])
