"""Probes of what faults need: system-call injection, and networks of one's own."""

from typing import Final

from harness.capability.attempt import KILLED, run
from harness.capability.model import Available, Capability, ProbeResult, Reason, Unavailable

_DEADLINE_S: Final = 10.0

# In a mount namespace of its own, so that even a SIGKILL half-way leaves no name below /run/netns: all of it, the
# named namespace too, is gone with the shell.
_NETNS_SCRIPT: Final = """
mount -t tmpfs tmpfs /run
ip netns add far
ip link set lo up
ip link add near type veth peer name far netns far
ip link set near up
ip -n far link set far up
ip -oneline link show near
ip netns delete far
"""


def strace_inject() -> ProbeResult:
    """`true` ends with 0 unless the injected SIGKILL reaches it at its exit."""
    inject = ["-e", "trace=exit_group", "-e", "inject=exit_group:signal=SIGKILL:when=1"]
    ended = run(["strace", "-f", "-qqq", "-o", "/dev/null", *inject, "true"], deadline_s=_DEADLINE_S)
    if ended.code == KILLED:
        return Available("strace killed a process at its first exit_group")
    if ended.code == 0:
        return Unavailable(Reason.DOES_NOT_WORK, "strace ran, but the process it was to kill ended in good order")
    return ended.refusal()


def netns() -> ProbeResult:
    """Both ends of a veth pair, one in a named namespace, come up."""
    # Asked for by name first: within the script its absence would be one more exit code.
    version = run(["ip", "-Version"], deadline_s=_DEADLINE_S)
    ended = run(["unshare", "--net", "--mount", "sh", "-euc", _NETNS_SCRIPT], deadline_s=_DEADLINE_S)
    if ended.code != 0:
        return ended.refusal()
    if "LOWER_UP" not in ended.output:
        return Unavailable(Reason.DOES_NOT_WORK, "a veth pair between two namespaces was made but has no carrier")
    return Available(version.output.replace("ip utility, ", ""))


STRACE_INJECT: Final = Capability(
    name="strace-inject",
    title="strace kills a process at a chosen system call",
    used_for="faults at the n-th system call: kill at a rename, ENOSPC at an fsync",
    enable="apt-get install strace; in a container add the capability SYS_PTRACE",
    probe=strace_inject,
)
NETNS: Final = Capability(
    name="netns",
    title="network namespaces joined by a veth pair",
    used_for="taking one device's link down",
    enable="apt-get install iproute2, and run as root (CAP_NET_ADMIN and CAP_SYS_ADMIN)",
    probe=netns,
)
