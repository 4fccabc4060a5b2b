"""All capabilities, and the one way to ask for them: at the same time, once per process."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from harness.capability.attempt import Obstacle
from harness.capability.containers import DOCKER, PODMAN
from harness.capability.faults import MEMORY_CGROUP, NETNS, STRACE_INJECT
from harness.capability.machines import EMULATION, KVM, LIBVIRT
from harness.capability.model import Capability, ProbeResult, Reason, Unavailable
from harness.capability.programs import PROGRAMS
from harness.capability.units import SYSTEMD_ANALYZE
from harness.errors import HarnessError

CAPABILITIES: Final = (
    *PROGRAMS,
    STRACE_INJECT,
    NETNS,
    MEMORY_CGROUP,
    DOCKER,
    PODMAN,
    KVM,
    EMULATION,
    LIBVIRT,
    SYSTEMD_ANALYZE,
)
"""In the order in which a person wants to read them."""

_results: dict[str, ProbeResult] = {}
_lock: Final = threading.Lock()


def capability_named(name: str) -> Capability:
    """Raises HarnessError if there is none of that name."""
    for capability in CAPABILITIES:
        if capability.name == name:
            return capability
    known = ", ".join(capability.name for capability in CAPABILITIES)
    raise HarnessError(f"no capability named {name!r}; there are: {known}")


def probe_all(names: Iterable[str] | None = None) -> dict[str, ProbeResult]:
    """The results of these capabilities (of all, if None), in the given order; each is probed once per process.

    Blocks for seconds the first time: from a coroutine, call it with `asyncio.to_thread`.

    Raises:
        HarnessError: a name is not known.
    """
    wanted = CAPABILITIES if names is None else [capability_named(name) for name in names]
    with _lock:
        missing = [capability for capability in wanted if capability.name not in _results]
        if missing:
            # None of them touches what another one needs; they mostly wait for processes.
            with ThreadPoolExecutor(len(missing), thread_name_prefix="probe") as pool:
                _results.update(zip((c.name for c in missing), pool.map(_probe, missing), strict=True))
        return {capability.name: _results[capability.name] for capability in wanted}


def _probe(capability: Capability) -> ProbeResult:
    try:
        return capability.probe()
    except Obstacle as obstacle:
        return obstacle.result
    except OSError as error:
        reason = Reason.NOT_PERMITTED if isinstance(error, PermissionError) else Reason.DOES_NOT_WORK
        return Unavailable(reason, f"{capability.name} could not be tried: {error}")
