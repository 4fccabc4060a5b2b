"""The real programs that the harness runs: found where the user has them, else built once from pinned sources."""

from harness.toolchain.catalogue import (
    CATALOGUE,
    ETCD,
    KUBE_APISERVER,
    KUBECTL,
    NATS_SERVER,
    TOXIPROXY_SERVER,
    GoSource,
    Tool,
    WheelSource,
    tool_named,
)
from harness.toolchain.progress import ConsoleProgress, Progress, Stage, Step
from harness.toolchain.provision import Toolchain
from harness.toolchain.resolve import Located, Origin

__all__ = [
    "CATALOGUE",
    "ETCD",
    "KUBECTL",
    "KUBE_APISERVER",
    "NATS_SERVER",
    "TOXIPROXY_SERVER",
    "ConsoleProgress",
    "GoSource",
    "Located",
    "Origin",
    "Progress",
    "Stage",
    "Step",
    "Tool",
    "Toolchain",
    "WheelSource",
    "tool_named",
]
