"""The smallest custom resources and rights that the tests of the services need; the product's own are its affair."""

from harness.history.records import Json
from harness.services.kube_config import GROUP

OPERATOR_RULES: tuple[Json, ...] = (
    {"apiGroups": [GROUP], "resources": ["deployments", "devices"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [GROUP], "resources": ["deployments/status"], "verbs": ["patch"]},
)


def _crd(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
                    },
                }
            ],
        },
    }


CRDS = (_crd("Deployment"), _crd("Device"))


def device(name: str) -> Json:
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Device", "metadata": {"name": name}, "spec": {}}


def deployment(name: str) -> Json:
    return {**device(name), "kind": "Deployment"}
