"""etcd is restored from an old backup: what was made since is gone, what was edited since is as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.errors import ServiceError
from harness.faults.cluster_fault import ClusterFault
from harness.faults.manifests import Manifests, Name, Version, versions
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin


@dataclass(frozen=True, slots=True)
class EtcdBackup:
    """A copy of the store, and the objects of one namespace that are in it."""

    folder: Path
    namespace: str
    versions: Mapping[Name, Version]

    @classmethod
    async def take(cls, cluster: KubeCluster, admin: KubeAdmin, namespace: str, name: str = "backup") -> Self:
        """Raises ServiceError. The copy lies beside the store and goes with it."""
        folder = cluster.folder / name
        # Asked first: what was listed is in the copy.
        listed = await versions(admin, namespace)
        await cluster.back_up_etcd(folder)
        return cls(folder, namespace, listed)


class EtcdRestored(ClusterFault):
    """Puts a backup in the place of the store; healing applies what the objects said right before that."""

    name = "etcd-restored"

    def __init__(self, cluster: KubeCluster, admin: KubeAdmin, backup: EtcdBackup) -> None:
        super().__init__(cluster)
        self._admin = admin
        self._backup = backup
        # Versions that the backup does not know, those that only it knows, and the specs that an administrator has.
        self._since: frozenset[tuple[Name, Version]] = frozenset()
        self._of_old: frozenset[tuple[Name, Version]] = frozenset()
        self._manifests: Manifests | None = None

    async def apply(self) -> None:
        before = await versions(self._admin, self._backup.namespace)
        self._since = frozenset(before.items() - self._backup.versions.items())
        self._of_old = frozenset(self._backup.versions.items() - before.items())
        self._manifests = await Manifests.of(self._admin, self._backup.namespace)
        await self._cluster.replace_data(self._backup.folder)

    async def prove_active(self) -> str:
        if not self._since | self._of_old:
            raise ServiceError(f"{self.target}: the backup says what was there anyway: it is not old")
        now = (await versions(self._admin, self._backup.namespace)).items()
        if still := self._since & now:
            raise ServiceError(f"{self.target}: {len(still)} versions are there that the backup does not know")
        if missing := self._of_old - now:
            raise ServiceError(f"{self.target}: {len(missing)} versions of the backup are not there")
        return f"{len(self._since)} versions are gone, {len(self._of_old)} of the backup are back"

    async def heal(self) -> None:
        if self._manifests is not None:
            await self._manifests.apply()

    async def prove_healed(self) -> str:
        if self._manifests is None:
            raise ServiceError(f"{self.target}: nothing was restored, so nothing could be applied again")
        if different := await self._manifests.differing():
            raise ServiceError(f"{self.target}: {len(different)} objects are not as they were, e.g. {different[0]}")
        return f"all {len(self._manifests.specs)} objects say what they said before the restore"
