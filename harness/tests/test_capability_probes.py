"""Each probe believes what its program does, not that it is there; every refusal is typed."""

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.capability import (
    Available,
    ProbeResult,
    Reason,
    Unavailable,
    containers,
    faults,
    machines,
    programs,
    units,
)
from harness.tests.probed import FakeProgram, answer
from harness.toolchain import ETCD, NATS_SERVER, Toolchain, WheelSource


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
