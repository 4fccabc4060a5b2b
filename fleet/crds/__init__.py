"""The custom resource definitions as data: read by whoever installs them, and by whoever names their API paths."""

from dataclasses import dataclass
from importlib import resources

import yaml

GROUP = "fleet.fleetproof.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: `plural` stands in API paths, `kind` in objects."""

    plural: str
    kind: str
    short_name: str

    @property
    def crd_name(self) -> str:
        """Name of its CustomResourceDefinition object."""
        return f"{self.plural}.{GROUP}"


DEPLOYMENT = Resource("deployments", "Deployment", "fdeploy")
DEVICE = Resource("devices", "Device", "fdev")

_FILES = ("deployment.yaml", "device.yaml")


def manifest_text() -> str:
    """Return all definitions as one YAML stream, for `kubectl apply -f -`."""
    folder = resources.files(__name__)
    return "---\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in _FILES)


def manifests() -> list[dict[str, object]]:
    """Return all definitions as objects, ready to be sent to an API server as JSON."""
    return [dict(document) for document in yaml.safe_load_all(manifest_text())]
