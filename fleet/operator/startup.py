"""What is checked once, before anything runs: reachable peers, rights, CRDs. Bounded, with one clear line for each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleet.bus.buckets import Identity
from fleet.crds import GROUP
from fleet.errors import PeerAway, PeerRefused
from fleet.kube.client import RESOURCES, Access, KubeClient
from fleet.logs import get_logger

_DEFINITIONS, _EXTENSIONS = "customresourcedefinitions", "apiextensions.k8s.io"
NEEDED_ACCESS = (
    Access("get", "deployments"),
    Access("list", "deployments"),
    Access("watch", "deployments"),
    Access("patch", "deployments"),
    Access("patch", "deployments", "status"),
    Access("get", "devices"),
    Access("list", "devices"),
    Access("watch", "devices"),
    Access("create", "devices"),
    Access("patch", "devices"),
    Access("create", "events", group=""),
    Access("get", "configmaps", group=""),
    Access("create", "configmaps", group=""),
    Access("patch", "configmaps", group=""),
    *(Access("get", _DEFINITIONS, group=_EXTENSIONS, namespaced=False, name=f"{name}.{GROUP}") for name in RESOURCES),
)
_RETRY_S = 0.5
# Each is answered in a millisecond, which is what a connection of its own takes.
_ASKED_AT_ONCE = 4

R = TypeVar("R")


async def until(
    deadline: float, limit_s: float, peer: str, attempt: Callable[[], Awaitable[R]], trouble: Callable[[], str | None]
) -> R:
    """Try until `deadline` (loop time) while `peer` is away; a definite refusal ends it at once.

    `trouble` is asked for what is known when no attempt has said anything.
    """
    said: str | None = None
    try:
        async with asyncio.timeout_at(deadline):
            while True:
                try:
                    return await attempt()
                except PeerAway as e:
                    said = str(e)
                    get_logger("operator").warning("peer_away", reason=said)
                await asyncio.sleep(_RETRY_S)
    except TimeoutError as e:
        raise PeerAway(f"{peer}: gave up after {limit_s:g} s: {said or trouble() or 'no answer'}") from e


async def check_access(kube: KubeClient) -> str:
    """Ask for every right that is needed, and touch both resources: a missing CRD is found here. The cluster's uid."""
    try:
        lane = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(access: Access) -> bool:
            async with lane:
                return await kube.allowed(access)

        allowed = await asyncio.gather(*map(ask, NEEDED_ACCESS))
    except PeerRefused as e:
        raise PeerRefused(f"{e}; check the server and the credentials in KUBECONFIG") from e
    missing = [str(access) for access, ok in zip(NEEDED_ACCESS, allowed, strict=True) if not ok]
    if missing:
        raise PeerRefused(
            f"Kubernetes API at {kube.server}: this user may not {', '.join(missing)} in namespace "
            f"{kube.namespace}; give it the rights that docs/contract.md lists"
        )
    await asyncio.gather(*(_touch(kube, resource) for resource in RESOURCES))
    return await kube.cluster_uid()


async def _touch(kube: KubeClient, resource: str) -> None:
    try:
        await kube.list_page(resource, limit=1, continue_token="")
    except PeerRefused as e:
        raise PeerRefused(f"{e}; are the CRDs installed? `fleet crds --apply` installs them") from e


def check_cluster(found: str, identity: Identity) -> None:
    """Raises PeerRefused if the API server answers for another cluster than it did at the start."""
    if found != identity.cluster:
        raise PeerRefused(
            f"the API server answers for cluster {found} now; the buckets belong to namespace {identity.namespace} of "
            f"cluster {identity.cluster}: nothing is written"
        )
