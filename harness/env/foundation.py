"""What a worker starts once and its tests share: seconds to start, so it is not done per test."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from fleet import crds
from harness.history import Recorder
from harness.services.estates import clear_left_overs
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin
from harness.services.payload_storage import make_storage
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
        binaries: Mapping[str, Path],
        kube: KubeCluster,
        admin: KubeAdmin,
        toxiproxy: Toxiproxy,
    ) -> None:
        self._stack = stack
        self._binaries = binaries
        self._payload_storage: Path | None = None
        self._making = asyncio.Lock()
        self.warden = warden
        self.folder = folder
        self.kube = kube
        self.admin = admin
        self.toxiproxy = toxiproxy

    @classmethod
    async def start(cls, binaries: Mapping[str, Path], progress: Callable[[str], None]) -> Self:
        """`binaries` by name, as the toolchain's `ensure_all` gives them. Raises ServiceError; nothing is left then."""
        for told in await asyncio.to_thread(lambda: list(clear_left_overs(os.environ))):
            progress(told)
        async with AsyncExitStack() as stack:
            warden = stack.enter_context(Warden())
            folder = warden.temp_folder("fleetproof-")
            stack.callback(warden.remove_folder, folder)
            progress("starting etcd and kube-apiserver")
            kube, admin = await _start_cluster(stack, binaries, folder / "kube", warden=warden, shared=True)
            progress("starting toxiproxy")
            toxiproxy = await Toxiproxy.start(binaries[TOXIPROXY_SERVER.name], folder, warden=warden)
            stack.push_async_callback(toxiproxy.stop)
            return cls(
                stack.pop_all(),
                warden=warden,
                folder=folder,
                binaries=binaries,
                kube=kube,
                admin=admin,
                toxiproxy=toxiproxy,
            )

    async def own_cluster(self, recorder: Recorder, name: str = "kube") -> Self:
        """The same but for a Kubernetes API that nobody else uses; the caller closes it. Seconds to start.

        The life of its processes, `<name>-etcd` and `<name>-apiserver`, goes into the history.
        """
        async with AsyncExitStack() as stack:
            folder = self.warden.temp_folder(f"{name}-", parent=self.folder)
            stack.callback(self.warden.remove_folder, folder)
            kube, admin = await _start_cluster(
                stack, self._binaries, folder, warden=self.warden, recorder=recorder, name=name
            )
            return type(self)(
                stack.pop_all(),
                warden=self.warden,
                folder=self.folder,
                binaries=self._binaries,
                kube=kube,
                admin=admin,
                toxiproxy=self.toxiproxy,
            )

    async def payload_storage(self) -> Path:
        """Podman's storage with the images that containers of tests run; made once. Raises ServiceError."""
        async with self._making:
            if self._payload_storage is None:
                self._payload_storage = await make_storage(self.folder, warden=self.warden)
        return self._payload_storage

    @property
    def nats_binary(self) -> Path:
        return self._binaries[NATS_SERVER.name]

    async def close(self) -> None:
        """End all of it, in the reverse order, whatever fails on the way. Idempotent."""
        await self._stack.aclose()


async def _start_cluster(
    stack: AsyncExitStack,
    binaries: Mapping[str, Path],
    folder: Path,
    *,
    warden: Warden,
    recorder: Recorder | None = None,
    name: str = "kube",
    shared: bool = False,
) -> tuple[KubeCluster, KubeAdmin]:
    """Etcd and kube-apiserver with our CRDs, and a client with all rights; `stack` ends both."""
    kube = await KubeCluster.start(
        binaries[ETCD.name],
        binaries[KUBE_APISERVER.name],
        folder,
        warden=warden,
        recorder=recorder,
        name=name,
        shared=shared,
    )
    stack.push_async_callback(kube.stop)
    admin = await stack.enter_async_context(kube.admin())
    await admin.apply_crds(crds.manifests())
    return kube, admin
