"""What the operator under test may do in Kubernetes, and a namespace in which it may do it."""

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack

from fleet.crds import DEPLOYMENT, DEVICE, GROUP
from harness.env.foundation import Foundation
from harness.services.kube_client import KubeAdmin

# What an operator that honours the contract needs, and no more (docs/contract.md).
_RULES: tuple[Mapping[str, object], ...] = (
    {"apiGroups": [GROUP], "resources": ["deployments"], "verbs": ["get", "list", "watch", "patch", "update"]},
    {"apiGroups": [GROUP], "resources": ["devices"], "verbs": ["get", "list", "watch", "create", "patch", "update"]},
    {"apiGroups": [GROUP], "resources": ["deployments/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]},
)
# The uid of this namespace is the cluster's identity.
_CLUSTER_RULES: tuple[Mapping[str, object], ...] = (
    {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]},
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "resourceNames": [f"{plural}.{GROUP}" for plural in (DEPLOYMENT.plural, DEVICE.plural)],
        "verbs": ["get"],
    },
)


async def grant(admin: KubeAdmin, namespace: str) -> None:
    """In a namespace that is there. Raises ServiceError."""
    await admin.grant(namespace, _RULES, cluster_rules=_CLUSTER_RULES)


async def new_namespace(stack: AsyncExitStack, foundation: Foundation) -> str:
    """It goes with the stack. Raises ServiceError."""
    admin, namespace = foundation.admin, f"t-{secrets.token_hex(4)}"
    await admin.create_namespace(namespace)
    if foundation.kube.shared:
        # A cluster of one's own goes as a whole, and may be in no state to answer.
        stack.push_async_callback(admin.delete_namespace, namespace)
    await grant(admin, namespace)
    return namespace
