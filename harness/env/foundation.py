"""What a worker starts once and its tests share: seconds to start, so it is not done per test."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from fleet import crds
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin
from harness.services.toxiproxy import Toxiproxy
from harness.services.warden import Warden
from harness.toolchain import ETCD, KUBE_APISERVER, NATS_SERVER, TOXIPROXY_SERVER

NEEDED = (NATS_SERVER, ETCD, KUBE_APISERVER, TOXIPROXY_SERVER)


class Foundation:
    """Owns the warden, the Kubernetes API, toxiproxy and the folder they live in.

    This is the provider `embedded`: the API server and etcd are processes of this machine.
    """

    def __init__(
        self,
        stack: AsyncExitStack,
        *,
        warden: Warden,
        folder: Path,
        nats_binary: Path,
        kube: KubeCluster,
        admin: KubeAdmin,
        toxiproxy: Toxiproxy,
    ) -> None:
        self._stack = stack
        self.warden = warden
        self.folder = folder
        self.nats_binary = nats_binary
        self.kube = kube
        self.admin = admin
        self.toxiproxy = toxiproxy

    @classmethod
    async def start(cls, binaries: Mapping[str, Path], progress: Callable[[str], None]) -> Self:
        """`binaries` by name, as the toolchain's `ensure_all` gives them. Raises ServiceError; nothing is left then."""
        async with AsyncExitStack() as stack:
            warden = stack.enter_context(Warden())
            folder = warden.temp_folder("fleetproof-")
            stack.callback(warden.remove_folder, folder)
            progress("starting etcd and kube-apiserver")
            kube = await KubeCluster.start(
                binaries[ETCD.name], binaries[KUBE_APISERVER.name], folder / "kube", warden=warden
            )
            stack.push_async_callback(kube.stop)
            admin = await stack.enter_async_context(kube.admin())
            await admin.apply_crds(crds.manifests())
            progress("starting toxiproxy")
            toxiproxy = await Toxiproxy.start(binaries[TOXIPROXY_SERVER.name], folder, warden=warden)
            stack.push_async_callback(toxiproxy.stop)
            return cls(
                stack.pop_all(),
                warden=warden,
                folder=folder,
                nats_binary=binaries[NATS_SERVER.name],
                kube=kube,
                admin=admin,
                toxiproxy=toxiproxy,
            )

    async def close(self) -> None:
        """End all of it, in the reverse order, whatever fails on the way. Idempotent."""
        await self._stack.aclose()
