"""Probes of the toolchain: is each program there, and if not, can it be had without the user?"""

from functools import partial
from typing import Final

from harness.capability.model import Available, Capability, ProbeResult, Reason, Unavailable
from harness.errors import MissingPart
from harness.toolchain import (
    CATALOGUE,
    ETCD,
    KUBE_APISERVER,
    KUBECTL,
    NATS_SERVER,
    TOXIPROXY_SERVER,
    Located,
    Step,
    Tool,
    Toolchain,
    WheelSource,
)

_USED_FOR: Final = {
    NATS_SERVER: "the broker of every scenario",
    ETCD: "the store of the Kubernetes API server",
    TOXIPROXY_SERVER: "cutting and slowing connections",
    KUBE_APISERVER: "the Kubernetes API of every scenario",
    KUBECTL: "looking at a running environment by hand",
}
_BUILD_MINUTES: Final = {ETCD: 1, TOXIPROXY_SERVER: 1, KUBE_APISERVER: 3, KUBECTL: 1}
"""Measured on 2 cores, rounded up to a minute (docs/adr/0003-toolchain.md)."""


def _silent(_step: Step) -> None:
    """A probe reports its result, not its steps."""


def program(tool: Tool, toolchain: Toolchain | None = None) -> ProbeResult:
    """Where `tool` is and its version; one that would be built on first use counts as available after set-up."""
    try:
        found = (toolchain or Toolchain(_silent)).locate(tool)
    except MissingPart as error:
        return Unavailable(Reason.DOES_NOT_WORK, str(error))
    if found is not None:
        return Available(_where(found))
    if isinstance(tool.source, WheelSource):
        return Unavailable(Reason.MISSING_PROGRAM, f"{tool.name} is not on PATH and its wheel is not installed")
    return Available(
        f"{tool.version}: will be built from pinned sources in about {_BUILD_MINUTES[tool]} min", after_setup=True
    )


def _where(found: Located) -> str:
    origin = f"{found.origin} {found.detail}".strip()
    return f"{found.version} ({origin}) {found.path}"


def _enable(tool: Tool) -> str:
    own = f"or set {tool.env} to one that you have"
    if isinstance(tool.source, WheelSource):
        return f"python -m pip install {tool.source.distribution}=={tool.version}, {own}"
    return f"nothing to do: built on first use, {own}"


PROGRAMS: Final = tuple(
    Capability(
        name=tool.name,
        title=f"{tool.name} is there",
        used_for=_USED_FOR[tool],
        enable=_enable(tool),
        probe=partial(program, tool),
    )
    for tool in CATALOGUE
)
