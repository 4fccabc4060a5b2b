"""The custom resource definitions are deleted, with every object of theirs, and applied again: a reinstall."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from fleet import crds
from harness.errors import ServiceError
from harness.faults.cluster_fault import ClusterFault
from harness.faults.manifests import KINDS, Manifests, Name, versions
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin, KubeApiError
from harness.services.kube_session import NOT_FOUND
from harness.wait import wait_for

# The server looks every five seconds whether the last object has gone.
_GONE_WITHIN_S = 30.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def _nothing() -> None:
    """Nobody waits for anything in between."""


class CrdsReinstalled(ClusterFault):
    """Deletes and applies the definitions; healing applies what the objects said before that.

    While objects wait for their finalizers, `held_up` is awaited; then an administrator takes the finalizers away by
    hand. `between` is awaited after each object that is applied again; without it all are applied at once.
    """

    name = "crds-reinstalled"

    def __init__(
        self,
        cluster: KubeCluster,
        admin: KubeAdmin,
        namespace: str,
        *,
        held_up: Callable[[], Awaitable[None]] = _nothing,
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(cluster)
        self._admin = admin
        self._namespace = namespace
        self._held_up = held_up
        self._between = between
        self._manifests: Manifests | None = None
        self._uids: frozenset[str] = frozenset()

    async def apply(self) -> None:
        self._manifests = await Manifests.of(self._admin, self._namespace)
        self._uids = frozenset(uid for uid, _ in (await versions(self._admin, self._namespace)).values())
        definitions = crds.manifests()
        paths = [f"{_CRDS}/{cast('Mapping[str, object]', crd['metadata'])['name']}" for crd in definitions]
        for path in paths:
            await self._admin.request("DELETE", path)
        await wait_for("every object to be deleted", self._all_going, deadline_s=_GONE_WITHIN_S)
        await self._held_up()
        await self._take_finalizers_away()

        async def gone() -> bool | None:
            return True if all([await self._absent(path) for path in paths]) else None

        await wait_for("the definitions to be gone", gone, deadline_s=_GONE_WITHIN_S, interval_s=0.05)
        await self._admin.apply_crds(definitions)
        # Right after that the server may still say for a moment that it prepares to.
        await wait_for("objects to be listed", self._all_going, deadline_s=_GONE_WITHIN_S, expect=(KubeApiError,))

    async def prove_active(self) -> str:
        if not self._uids:
            raise ServiceError("there was no object that a reinstall could take away")
        if still := self._uids & {uid for uid, _ in (await versions(self._admin, self._namespace)).values()}:
            raise ServiceError(f"{len(still)} of {len(self._uids)} objects are still the ones from before")
        return f"the {len(self._uids)} objects from before are gone, and their definitions are served"

    async def heal(self) -> None:
        if self._manifests is not None:
            await self._manifests.apply(self._between)

    async def prove_healed(self) -> str:
        if self._manifests is None:
            raise ServiceError("nothing was reinstalled, so nothing could be applied again")
        if different := await self._manifests.differing():
            raise ServiceError(f"{len(different)} objects are not as they were, e.g. {different[0]}")
        return f"all {len(self._manifests.specs)} objects say what they said before"

    async def _left(self) -> dict[Name, Mapping[str, object]]:
        """The metadata of the objects that are there. None are if their definition is gone already."""
        found: dict[Name, Mapping[str, object]] = {}
        for resource in KINDS:
            try:
                items, _ = await self._admin.list_objects(resource, self._namespace)
            except KubeApiError as e:
                if e.status != NOT_FOUND:
                    raise
                continue
            for item in items:
                metadata = cast("Mapping[str, object]", item["metadata"])
                found[resource, str(metadata["name"])] = metadata
        return found

    async def _all_going(self) -> bool | None:
        return True if all(metadata.get("deletionTimestamp") for metadata in (await self._left()).values()) else None

    async def _take_finalizers_away(self) -> None:
        for (resource, name), metadata in (await self._left()).items():
            if metadata.get("finalizers"):
                try:
                    await self._admin.patch(resource, self._namespace, name, {"metadata": {"finalizers": None}})
                except KubeApiError as e:
                    # Whoever it waited for has let it go meanwhile.
                    if e.status != NOT_FOUND:
                        raise

    async def _absent(self, path: str) -> bool:
        try:
            await self._admin.request("GET", path)
        except KubeApiError as e:
            if e.status == NOT_FOUND:
                return True
            raise
        return False
