"""Probes of what faults need: system-call injection, networks of one's own, and memory that runs out."""

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

# Version 1 of the hierarchy, or version 2. Who enters the group may not have a single page more.
_MEMORY_SCRIPT: Final = """
root=/sys/fs/cgroup/memory limit=memory.limit_in_bytes events=memory.oom_control
[ -e $root/$limit ] || { root=/sys/fs/cgroup limit=memory.max events=memory.events; }
group=$root/fleetproof-probe-$$
mkdir $group
trap 'rmdir $group' EXIT
echo 0 > $group/$limit
sh -c "echo \\$\\$ > $group/cgroup.procs; exec true" || true
grep '^oom_kill ' $group/$events
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


def memory_cgroup() -> ProbeResult:
    """A process that enters a control group without memory is killed, and the kernel counts it."""
    ended = run(["sh", "-euc", _MEMORY_SCRIPT], deadline_s=_DEADLINE_S)
    if ended.code != 0:
        return ended.refusal()
    if not ended.output.endswith("oom_kill 1"):
        return Unavailable(Reason.DOES_NOT_WORK, "a process in a control group without memory was not killed")
    return Available("the kernel killed a process that had no memory left")


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
MEMORY_CGROUP: Final = Capability(
    name="memory-cgroup",
    title="a process that has no memory left is killed",
    used_for="an operator that runs out of memory",
    enable="run as root with the memory control group at /sys/fs/cgroup writable",
    probe=memory_cgroup,
)
