"""A real Kubernetes API: etcd and kube-apiserver, no kubelet, no controllers.

Two processes are all that custom resources need. Seconds to start, so a worker shares one and a test has a
namespace; a test that kills the API owns one.
"""

import asyncio
import secrets
import shutil
import signal
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import aiohttp
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services import kube_config, procfs
from harness.services.kube_client import KubeAdmin
from harness.services.kube_config import USERS, User
from harness.services.ports import HOST, PortLease, lease
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.wait import wait_for

READY_WITHIN_S = 90.0
STOPPED_WITHIN_S = 5.0


class KubeCluster:
    """Owns an etcd, a kube-apiserver, their three ports and the files in its folder (not the folder itself)."""

    def __init__(
        self,
        etcd: Path,
        apiserver: Path,
        folder: Path,
        *,
        warden: Warden,
        recorder: Recorder | None,
        name: str,
        shared: bool,
    ) -> None:
        self.name = name
        self.folder = folder
        self.shared = shared
        self.audit_path = folder / "audit.log"
        self.start_s: float | None = None
        self._binaries = {"etcd": etcd, "apiserver": apiserver}
        self._warden = warden
        self._recorder = recorder
        self._leases: list[PortLease] = [lease(), lease(), lease()]
        self._etcd_port, self._peer_port, self.port = (held.port for held in self._leases)
        self._tokens: dict[User, str] = {user: secrets.token_urlsafe(24) for user in USERS}
        self._ca = trustme.CA(organization_name=f"fleetproof {name}")
        self._processes: dict[str, ManagedProcess] = {}

    @classmethod
    async def start(
        cls,
        etcd: Path,
        apiserver: Path,
        folder: Path,
        *,
        warden: Warden,
        recorder: Recorder | None = None,
        name: str = "kube",
        shared: bool = False,
    ) -> Self:
        """Ready means: /readyz answers ok and kube-system is there. `shared`: others use it, so that none may kill it.

        Raises ServiceError or WaitTimeout with the end of the log in question.
        """
        began = time.monotonic()
        cluster = cls(etcd, apiserver, folder, warden=warden, recorder=recorder, name=name, shared=shared)
        try:
            cluster._write_files()
            await cluster.start_etcd()
            await cluster.start_apiserver()
        except BaseException:
            await cluster.stop()
            raise
        cluster.start_s = time.monotonic() - began
        return cluster

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def etcd_url(self) -> str:
        return f"http://{HOST}:{self._etcd_port}"

    @property
    def ca_pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    @property
    def etcd(self) -> ManagedProcess:
        return self._process("etcd")

    @property
    def apiserver(self) -> ManagedProcess:
        return self._process("apiserver")

    def token(self, user: User) -> str:
        """`admin` may do everything; `operator` what is granted in a namespace; `nobody` nothing, ever."""
        return self._tokens[user]

    def admin(self) -> KubeAdmin:
        """A client with all rights. The caller closes it."""
        return KubeAdmin(self.url, self.ca_pem, self.token("admin"))

    def kubeconfig(
        self, user: User, *, server: str | None = None, ca_pem: bytes | None = None, namespace: str = "default"
    ) -> str:
        """The text of a kubeconfig. `server` and `ca_pem` lead it through a fault point instead."""
        return kube_config.kubeconfig_text(
            server=server or self.url,
            ca_pem=ca_pem or self.ca_pem,
            token=self.token(user),
            user=user,
            namespace=namespace,
        )

    async def start_etcd(self) -> None:
        """Start (again) etcd on its data; a running one is left alone."""
        flags = kube_config.etcd_flags(self._etcd_data, self._etcd_port, self._peer_port)
        await self._start("etcd", flags, [f"{self.etcd_url}/readyz"], None)

    async def start_apiserver(self) -> None:
        """Start (again) the API server on the same port, tokens and audit log; a running one is left alone."""
        if (previous := self._processes.get("apiserver")) is not None and not previous.running:
            _cut_unfinished_line(self.audit_path)
        flags = kube_config.apiserver_flags(self.folder, etcd_port=self._etcd_port, port=self.port)
        # Its uid is the cluster's identity. The server makes it by itself, but not before it says that it is ready.
        ready_urls = [f"{self.url}/readyz", f"{self.url}/api/v1/namespaces/kube-system"]
        await self._start("apiserver", flags, ready_urls, self.token("admin"))

    async def kill(self) -> None:
        """SIGKILL to both. Ports and data stay for `start_etcd` and `start_apiserver`."""
        for part in ("apiserver", "etcd"):
            await self._process(part).kill()

    async def back_up_etcd(self, folder: Path) -> None:
        """Copy its data into `folder`, which must not exist. It runs on, and stands still for the copy.

        What one that stands still has on disk is what a kill at that instant would leave, and etcd starts on that.
        """
        self.etcd.signal(signal.SIGSTOP)
        try:
            await wait_for("etcd to stand still", self._etcd_stands_still, deadline_s=STOPPED_WITHIN_S)
            await asyncio.to_thread(_copy_store, self._etcd_data, folder)
        finally:
            self.etcd.signal(signal.SIGCONT)

    async def replace_data(self, backup: Path | None) -> None:
        """Kill both, put a copy of what `back_up_etcd` left in `backup` in place (None: nothing), and start both."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self._etcd_data)
        if backup is not None:
            await asyncio.to_thread(_copy_store, backup, self._etcd_data)
        await self.start_etcd()
        await self.start_apiserver()

    async def stop(self) -> None:
        """End both and give the ports back. Idempotent."""
        try:
            for part in ("apiserver", "etcd"):
                if (process := self._processes.get(part)) is not None:
                    # Nothing of it is kept, so nothing has to be flushed: no grace for long requests.
                    await process.kill()
        finally:
            for held in self._leases:
                held.release()

    def _etcd_stands_still(self) -> bool | None:
        state = procfs.process_state(self.etcd.pid)
        return True if state is not None and state.state == "T" else None

    @property
    def _etcd_data(self) -> Path:
        return self.folder / "etcd"

    def _process(self, part: str) -> ManagedProcess:
        if part not in self._processes:
            raise ServiceError(f"{self.name}: {part} was never started")
        return self._processes[part]

    def _write_files(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        serving = self._ca.issue_cert(HOST, "localhost")
        # In the older of the two PEM forms: the API server reads an EC key in no other.
        signing_key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        files = {
            "tls.crt": b"".join(blob.bytes() for blob in serving.cert_chain_pems),
            "tls.key": serving.private_key_pem.bytes(),
            "sa.key": signing_key,
            "tokens.csv": kube_config.token_file(self._tokens).encode(),
            "audit-policy.json": kube_config.audit_policy().encode(),
            # So that a reader finds it before the first request is answered.
            "audit.log": b"",
        }
        for name, content in files.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)

    async def _start(self, part: str, flags: list[str], ready_urls: Sequence[str], token: str | None) -> None:
        previous = self._processes.get(part)
        if previous is not None and previous.running:
            return
        process = await ManagedProcess.spawn(
            f"{self.name}-{part}",
            [self._binaries[part], *flags],
            # A wider heap: it costs 100 MB, and a fifth less of a core while it starts and collects.
            env={"HOME": str(self.folder), "GOGC": "200"} if part == "apiserver" else {"HOME": str(self.folder)},
            cwd=self.folder,
            log_path=self.folder / f"{part}.log",
            warden=self._warden,
            recorder=self._recorder,
        )
        self._processes[part] = process
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        tls = ssl.create_default_context(cadata=self.ca_pem.decode())
        try:
            async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session:

                async def ready() -> bool | None:
                    process.check_running()
                    for url in ready_urls:
                        async with session.get(url, ssl=tls) as answer:
                            _raise_unless_ready(answer.status, await answer.text())
                    return True

                await wait_for(
                    f"{process.name} to be ready",
                    ready,
                    deadline_s=READY_WITHIN_S,
                    expect=(aiohttp.ClientError, TimeoutError, _NotReadyError),
                )
        except BaseException:
            await process.kill()
            raise
        process.record("ready")


class _NotReadyError(Exception):
    """It answers, and says which of its checks fail."""


def _raise_unless_ready(status: int, text: str) -> None:
    if status == 200:  # noqa: PLR2004 - HTTP's OK
        return
    failing = [line for line in text.splitlines() if line.startswith("[-]")]
    raise _NotReadyError(f"{status} {'; '.join(failing)}")


def _copy_store(source: Path, target: Path) -> None:
    # The file that the next log segment is prepared in is 64 MB of nothing.
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.tmp"))


def _cut_unfinished_line(log: Path) -> None:
    """A kill may fall into the writing of a line. Nobody got an answer to that request, and the next line is whole."""
    with log.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
