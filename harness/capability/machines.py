"""Probes of what device machines need: KVM, and libvirt."""

import os
import platform
from pathlib import Path
from typing import Final

from harness.capability.attempt import Obstacle, run
from harness.capability.model import Available, Capability, ProbeResult, Reason, Unavailable

_DEVICE: Final = Path("/dev/kvm")
_KVM_DEADLINE_S: Final = 4.0
"""Without KVM, under TCG, the same guest took 0.25 s on 2 cores: hardware that misses this is no help."""
_EMULATION_DEADLINE_S: Final = 20.0
_LIBVIRT_DEADLINE_S: Final = 10.0

_TURNS: Final = 100_000_000
_MARK: Final = 0x2A
_EXIT_PORT: Final = 0xF4
_MARKED_EXIT: Final = _MARK << 1 | 1
"""What isa-debug-exit makes of the mark."""

# Counts before it reports: KVM may be there, open and start a guest, and yet interpret it instruction by instruction
# (seen with nested virtualisation: such a guest's kernel looks hung).
_BOOT_SECTOR: Final = (
    b"\x66\xb9"
    + _TURNS.to_bytes(4, "little")  # mov ecx, TURNS
    + b"\x66\x49"  # dec ecx
    + b"\x75\xfc"  # jnz to the dec
    + bytes((0xB0, _MARK, 0xE6, _EXIT_PORT))  # mov al, MARK; out EXIT_PORT, al
    + b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to the hlt
).ljust(510, b"\0") + b"\x55\xaa"  # fmt: skip - one instruction a line


def kvm() -> ProbeResult:
    """Boot a guest of one sector under KVM, let it compute, and take its exit code."""
    if platform.machine() != "x86_64":
        return Unavailable(Reason.NOT_ON_THIS_PLATFORM, f"the test guest is for x86_64, this is {platform.machine()}")
    if not _DEVICE.exists():
        return Unavailable(Reason.NOT_ON_THIS_PLATFORM, f"there is no {_DEVICE}")
    return _boot("kvm", _KVM_DEADLINE_S)


def emulation() -> ProbeResult:
    """Boot the same guest under QEMU's emulation, which needs nothing of the machine."""
    return _boot("tcg", _EMULATION_DEADLINE_S)


def _boot(accelerator: str, deadline_s: float) -> ProbeResult:
    # A file in memory: nothing is left on a disk, whatever ends this process.
    sector = os.memfd_create("fleetproof-boot-sector")
    try:
        os.write(sector, _BOOT_SECTOR)
        ended = run(_qemu(accelerator, Path(f"/proc/{os.getpid()}/fd/{sector}")), deadline_s=deadline_s)
    except Obstacle as obstacle:
        if obstacle.result.reason is Reason.NO_ANSWER:
            slow = f"a guest did not boot and count to {_TURNS:,} within {deadline_s:g} s"
            return Unavailable(Reason.DOES_NOT_WORK, f"{slow}: {accelerator} is too slow here")
        raise
    finally:
        os.close(sector)
    if ended.code != _MARKED_EXIT:
        return ended.refusal()
    return Available(f"a guest booted and counted to {_TURNS:,}")


def _qemu(accelerator: str, boot_sector: Path) -> list[str]:
    """A machine with nothing but a floppy drive and a port that ends it. `boot_sector` may hold no comma."""
    machine = ["-accel", accelerator, "-m", "16", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    end = ["-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"]
    return ["qemu-system-x86_64", *machine, *end, "-drive", f"if=floppy,format=raw,readonly=on,file={boot_sector}"]


def libvirt() -> ProbeResult:
    """The system daemon answers and says with which hypervisor."""
    ended = run(["virsh", "--connect", "qemu:///system", "version", "--daemon"], deadline_s=_LIBVIRT_DEADLINE_S)
    if ended.code != 0:
        return ended.refusal()
    said = dict(line.split(": ", 1) for line in ended.output.splitlines() if ": " in line)
    return Available(f"libvirtd {said.get('Running against daemon', '?')}, {said.get('Running hypervisor', '?')}")


KVM: Final = Capability(
    name="kvm",
    title="a guest boots and computes at speed under KVM",
    used_for="device machines at full speed",
    enable="apt-get install qemu-system-x86, and join the group kvm; in a guest, nested virtualisation on its host",
    probe=kvm,
)
EMULATION: Final = Capability(
    name="emulation",
    title="a guest boots and computes under QEMU's emulation",
    used_for="device machines where KVM is not there, slower",
    enable="apt-get install qemu-system-x86",
    probe=emulation,
)
LIBVIRT: Final = Capability(
    name="libvirt",
    title="the libvirt system daemon answers",
    used_for="device machines",
    enable="apt-get install libvirt-daemon-system libvirt-clients qemu-system-x86, and start libvirtd",
    probe=libvirt,
)
