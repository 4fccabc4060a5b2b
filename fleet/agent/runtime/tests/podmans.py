"""A podman of a test's own: storage, state, network and socket in one folder, and nothing left of it at the end."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

DEADLINE_S = 60.0
IMAGE = "localhost/payload:1"
BUSYBOX = "/bin/busybox"

_PROGRAMS = ("podman", "runc", "conmon", "busybox")
_MISSING = [program for program in _PROGRAMS if shutil.which(program) is None]
_WHY_NOT = (
    f"[not-installed] podman needs {', '.join(_MISSING)}"
    if _MISSING
    else "[not-permitted] containers of this test need root"
)
needs_podman = pytest.mark.skipif(
    bool(_MISSING) or os.geteuid() != 0,
    reason=f"{_WHY_NOT}; to enable: apt-get install podman runc busybox-static, and run as root",
)

# runc and cgroupfs work on hosts of every kind; the limits are those that a process without CAP_SYS_RESOURCE may set.
_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 5
[network]
network_config_dir = "{folder}/networks"
"""


class Podman:
    """One `podman system service`; `restart` keeps all but the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self.said = bytearray()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        conf = self.folder / "containers.conf"
        conf.write_text(_CONTAINERS_CONF.format(folder=self.folder))
        (self.folder / "networks").mkdir()
        (self.folder / "networks" / "podman.json").write_text(json.dumps(self._network()))
        archive = self.folder / "payload.tar"
        with tarfile.open(archive, "w", dereference=True) as tar:
            tar.add(shutil.which("busybox") or "", BUSYBOX[1:])
        await self.run("import", "--quiet", str(archive), IMAGE)
        await self.restart()

    async def restart(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.said.clear()
        argv = self._argv("--log-level", "info", "system", "service", "--time", "0", f"unix://{self.socket}")
        self._process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, env=self._env())
        assert self._process.stderr is not None
        ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read(self._process.stderr, ready))
        async with asyncio.timeout(DEADLINE_S):
            await ready.wait()
        assert self._process.returncode is None, self.said.decode()

    async def kill(self) -> None:
        """SIGKILL to the service alone; containers live on."""
        if self._process is None or self._reader is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader
        self._process = None

    async def close(self) -> None:
        await self.kill()
        try:
            await self.run("rm", "--all", "--force", "--time", "0")
        finally:
            # What an exec leaves waits for minutes to be asked for its exit code.
            for pid in self._left_behind():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            # A bridge is left only if a container was not cleaned up.
            for argv in (
                *(("umount", "--lazy", mount) for mount in self._mounts()),
                ("ip", "link", "del", self._bridge),
            ):
                await asyncio.to_thread(subprocess.run, argv, check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(self.folder)

    async def run(self, *arguments: str) -> str:
        """The client, beside the service: on the same storage, not through its socket."""
        process = await asyncio.create_subprocess_exec(
            *self._argv(*arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self._env()
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                out, err = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == 0, err.decode()
        return out.decode()

    @property
    def _bridge(self) -> str:
        return f"fleet{os.getpid()}"

    def _network(self) -> dict[str, object]:
        """The default network, but a bridge of its own: podmans side by side would take podman0 from each other."""
        net = f"10.213.{os.getpid() % 256}"
        return {
            "name": "podman",
            "id": secrets.token_hex(32),
            "driver": "bridge",
            "network_interface": self._bridge,
            "created": "2026-01-01T00:00:00Z",
            "subnets": [{"subnet": f"{net}.0/24", "gateway": f"{net}.1"}],
            "ipam_options": {"driver": "host-local"},
        }

    def _argv(self, *arguments: str) -> list[str]:
        folders = [f"--{name}={self.folder / name}" for name in ("root", "runroot", "tmpdir")]
        return ["podman", *folders, *arguments]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}

    async def _read(self, stream: asyncio.StreamReader, ready: asyncio.Event) -> None:
        while line := await stream.readline():
            self.said += line
            if b"API service listening" in line:
                ready.set()
        ready.set()

    def _left_behind(self) -> list[int]:
        mark = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def _mounts(self) -> list[str]:
        points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        return [point for point in reversed(points) if point.startswith(f"{self.folder}/")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
