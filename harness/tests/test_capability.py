"""Capabilities: every answer is typed and bounded, comes from doing it, and nothing is left behind."""

import asyncio
import os
import platform
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
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
    containers,
    faults,
    machines,
    probe_all,
    probing,
    programs,
    units,
)
from harness.capability.attempt import Ended, Obstacle, run
from harness.errors import HarnessError
from harness.services import procfs
from harness.toolchain import CATALOGUE, ETCD, NATS_SERVER, GoSource, Toolchain, WheelSource
from harness.wait import wait_for

FakeProgram = Callable[[str, str], None]
MARK = "FLEETPROOF_PROBE_TEST"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProgram:
    """Makes shell scripts; they are all that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.fspath(folder))

    def make(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Every process started from here on carries it in its environment."""
    value = secrets.token_hex(8)
    monkeypatch.setenv(MARK, value)
    return f"{MARK}={value}"


def answer(probe: Callable[[], ProbeResult]) -> ProbeResult:
    """As `probe_all` has it, without its memory."""
    return probing._probe(Capability("probed", "", "", "", probe))


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


# Running one command


def test_hanging_command_ends_at_its_deadline_with_its_children(fake: FakeProgram, mark: str) -> None:
    """A command that never ends is no-answer, and neither it nor its child lives on."""
    fake("hang", "/bin/sleep 600 & /bin/sleep 600")
    with pytest.raises(Obstacle, match=r"no-answer: hang did not end within 0\.5 s"):
        run(["hang"], deadline_s=0.5)
    assert procfs.with_environment(mark) == []


async def test_command_does_not_outlive_a_killed_harness(mark: str) -> None:
    """SIGKILL of the probing process ends the command too."""
    code = "from harness.capability.attempt import run; run(['sleep', '600'], deadline_s=600)"
    harness = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    # Itself, the guard, the command.
    await wait_for("three processes", lambda: len(procfs.with_environment(mark)) == 3 or None, deadline_s=20)
    harness.send_signal(signal.SIGKILL)
    await harness.wait()
    await wait_for("none of them", lambda: not procfs.with_environment(mark) or None, deadline_s=20)


def test_ended_command_gives_its_code_and_all_it_said(fake: FakeProgram) -> None:
    """Exit code, stdout and stderr come back; a signal is 128 + its number."""
    fake("say", "echo out; echo err >&2; exit 3")
    fake("die", "kill -TERM $$")
    assert run(["say"], deadline_s=10) == Ended("say", 3, "out\nerr")
    assert run(["die"], deadline_s=10).code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("unshare: unshare failed: Operation not permitted", Reason.NOT_PERMITTED),
        ("warning: x\ndial unix /run/docker.sock: connect: permission denied", Reason.NOT_PERMITTED),
        ("Cannot connect to the Docker daemon at unix:///run/docker.sock.", Reason.NOT_RUNNING),
        ("error: Failed to connect socket to '/run/libvirt/libvirt-sock': No such file", Reason.NOT_RUNNING),
        ("segmentation fault", Reason.DOES_NOT_WORK),
        ("", Reason.DOES_NOT_WORK),
    ],
)
def test_reason_is_read_from_what_a_program_says(said: str, reason: Reason) -> None:
    """A refusal has the type that its text gives away, and quotes the last line."""
    refusal = Ended("tool", 1, said).refusal()
    assert refusal.reason is reason
    assert refusal.detail.endswith(said.splitlines()[-1] if said else "it said nothing")


# Each probe, with programs that behave as we say


def test_strace_that_injects_nothing_is_not_enough(fake: FakeProgram) -> None:
    """Strace is there and runs, but the process it was to kill ends with 0: does-not-work."""
    fake("strace", "exit 0")
    assert answer(faults.strace_inject) == Unavailable(
        Reason.DOES_NOT_WORK, "strace ran, but the process it was to kill ended in good order"
    )
    fake("strace", "echo 'strace: ptrace(PTRACE_SEIZE): Operation not permitted'; exit 1")
    refused = answer(faults.strace_inject)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.NOT_PERMITTED
    fake("strace", "kill -KILL $$")
    assert isinstance(answer(faults.strace_inject), Available)


def test_network_namespaces_need_a_carrier(fake: FakeProgram) -> None:
    """A veth pair without carrier is does-not-work, a refused namespace not-permitted, no `ip` missing-program."""
    fake("unshare", "echo 'near@if2: <LOWER_UP>'")
    assert answer(faults.netns) == Unavailable(Reason.MISSING_PROGRAM, "ip is not on PATH")
    fake("ip", "echo ip utility, iproute2-9.9")
    assert answer(faults.netns) == Available("iproute2-9.9")
    fake("unshare", "echo 'near@if2: <NO-CARRIER>'")
    dead = answer(faults.netns)
    assert isinstance(dead, Unavailable)
    assert dead.reason is Reason.DOES_NOT_WORK
    fake("unshare", "echo 'unshare: unshare failed: Operation not permitted'; exit 1")
    refused = answer(faults.netns)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize(
    ("program", "probe", "says", "detail"),
    [
        ("docker", containers.docker, "echo 20.10.24", "daemon 20.10.24"),
        ("virsh", machines.libvirt, "echo Running against daemon: 9.0.0; echo Running hypervisor: QEMU 7.2", "9.0.0"),
    ],
)
def test_engine_that_answers_is_available(
    fake: FakeProgram, program: str, probe: Callable[[], ProbeResult], says: str, detail: str
) -> None:
    """The answer of the daemon is the detail; its refusal and its absence are typed."""
    assert answer(probe) == Unavailable(Reason.MISSING_PROGRAM, f"{program} is not on PATH")
    fake(program, says)
    good = answer(probe)
    assert isinstance(good, Available)
    assert detail in good.detail
    fake(program, "echo connect: connection refused >&2; exit 1")
    refused = answer(probe)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.NOT_RUNNING


def test_systemd_has_to_judge_a_unit(fake: FakeProgram) -> None:
    """Its absence is missing-program; a version that cannot judge a file is does-not-work."""
    assert answer(units.systemd_analyze) == Unavailable(Reason.MISSING_PROGRAM, "systemd-analyze is not on PATH")
    fake("systemd-analyze", "echo 'Overall exposure level for probe.service: 9.6 UNSAFE'")
    assert answer(units.systemd_analyze) == Available("systemd-analyze judged a unit")
    fake("systemd-analyze", "echo 'unrecognized option: --offline'; exit 1")
    old = answer(units.systemd_analyze)
    assert isinstance(old, Unavailable)
    assert old.reason is Reason.DOES_NOT_WORK


def test_podman_has_to_run_a_container(fake: FakeProgram) -> None:
    """Its absence, and that of what it needs, is missing-program; if it only says its version, that is not enough."""
    assert answer(containers.podman) == Unavailable(Reason.MISSING_PROGRAM, "podman is not on PATH")
    fake("podman", "echo podman version 9.9")
    assert answer(containers.podman) == Unavailable(Reason.MISSING_PROGRAM, "runc is not on PATH")
    for program in ("runc", "conmon", "iptables", "ip", "nsenter", "busybox"):
        fake(program, "exit 0")
    idle = answer(containers.podman)
    assert isinstance(idle, Unavailable)
    assert idle.reason in {Reason.DOES_NOT_WORK, Reason.NOT_PERMITTED}


@pytest.mark.needs("podman")
def test_podman_ran_a_container() -> None:
    """The probe itself is right: where it has worked it works again, and its detail is podman's version."""
    found = answer(containers.podman)
    assert isinstance(found, Available)
    assert "a container ran, podman version" in found.detail


def test_kvm_is_believed_only_by_the_guests_own_mark(
    fake: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU that starts but whose guest never reports, or reports in no time to speak of, is does-not-work."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machines, "_DEVICE", tmp_path / "kvm")
    absent = answer(machines.kvm)
    assert isinstance(absent, Unavailable)
    assert absent.reason is Reason.NOT_ON_THIS_PLATFORM
    (tmp_path / "kvm").touch()
    assert answer(machines.kvm) == Unavailable(Reason.MISSING_PROGRAM, "qemu-system-x86_64 is not on PATH")
    fake("qemu-system-x86_64", f"exit {machines._MARKED_EXIT}")
    assert isinstance(answer(machines.kvm), Available)
    fake("qemu-system-x86_64", "exit 0")
    silent = answer(machines.kvm)
    assert isinstance(silent, Unavailable)
    assert silent.reason is Reason.DOES_NOT_WORK
    fake("qemu-system-x86_64", "echo 'Could not access KVM kernel module: Permission denied'; exit 1")
    refused = answer(machines.kvm)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.NOT_PERMITTED
    monkeypatch.setattr(machines, "_KVM_DEADLINE_S", 0.3)
    fake("qemu-system-x86_64", "/bin/sleep 600")
    slow = answer(machines.kvm)
    assert isinstance(slow, Unavailable)
    assert slow.reason is Reason.DOES_NOT_WORK
    assert "too slow" in slow.detail
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "this is riscv64" in answer(machines.kvm).detail


@pytest.mark.needs("emulation")
def test_boot_sector_runs() -> None:
    """The guest itself is right: under emulation it counts and reports its mark."""
    assert len(machines._BOOT_SECTOR) == 512
    assert isinstance(machines.emulation(), Available)


def test_program_that_will_be_built_is_available_after_setup(tmp_path: Path) -> None:
    """Nowhere yet: after set-up, with a figure. Named and working: where. Named and broken: does-not-work."""
    silent = programs._silent
    empty = Toolchain(silent, environ={"PATH": os.fspath(tmp_path)}, cache=tmp_path / "cache")
    assert programs.program(ETCD, empty) == Available(
        f"{ETCD.version}: will be built from pinned sources in about 1 min", after_setup=True
    )
    own = tmp_path / "my-etcd"
    own.write_text("#!/bin/sh\necho etcd Version: 3.6.1\n")
    own.chmod(0o755)
    named = Toolchain(silent, environ={ETCD.env: os.fspath(own)}, cache=tmp_path / "cache")
    assert programs.program(ETCD, named) == Available(f"3.6.1 (env {ETCD.env}) {own}")
    own.unlink()
    broken = programs.program(ETCD, named)
    assert isinstance(broken, Unavailable)
    assert broken.reason is Reason.DOES_NOT_WORK
    no_wheel = replace(NATS_SERVER, source=WheelSource("fleetproof-no-such-wheel"))
    missing = programs.program(no_wheel, empty)
    assert isinstance(missing, Unavailable)
    assert missing.reason is Reason.MISSING_PROGRAM


# Asking for all of them


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


def test_start_failure_is_an_answer(fake: FakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """If not even the guard can be started, that is does-not-work and no descriptor is lost."""
    fake("tool", "exit 0")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Obstacle, match="does-not-work: tool could not start: No such file"):
        run(["tool"], deadline_s=10)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
