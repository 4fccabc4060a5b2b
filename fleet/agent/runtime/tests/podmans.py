"""A podman of a test's own: storage, state and socket in a folder, network and mounts in namespaces; nothing is left.

Podmans of one machine share chains of its firewall, named after the network, and a table of locks in /dev/shm, whatever
folders they are given: what one of them takes away, another misses. So each has a network and mounts of its own.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

DEADLINE_S = 60.0
IMAGE = "localhost/payload:1"
BUSYBOX = "/bin/busybox"

_PROGRAMS = ("podman", "runc", "conmon", "busybox", "unshare", "nsenter", "ip")
_NEW_NET = 0x40000000
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
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""


class Podman:
    """One `podman system service`; `restart` keeps all but the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self.said = bytearray()
        self._home: asyncio.subprocess.Process | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._home = await _own_namespaces()
        await _run(*self._within("mount", "-t", "tmpfs", "none", "/dev/shm"))  # noqa: S108 - podman's locks
        await _run(*self._within("ip", "link", "set", "lo", "up"))
        conf = self.folder / "containers.conf"
        conf.write_text(_CONTAINERS_CONF.format(folder=self.folder))
        (self.folder / "networks").mkdir()
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
            if self._home is not None:
                # With it go network and mounts.
                self._home.kill()
                await self._home.wait()
            shutil.rmtree(self.folder)

    async def run(self, *arguments: str) -> str:
        """The client, beside the service: on the same storage, not through its socket."""
        return await _run(*self._argv(*arguments), env=self._env())

    def inside(self, call: Callable[[], T]) -> T:
        """What it answers in podman's network. A socket that was made there stays there."""

        def enter() -> T:
            descriptor = os.open(f"/proc/{self._pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Of this thread alone, which ends here.
                assert ctypes.CDLL(None).setns(descriptor, _NEW_NET) == 0
                return call()
            finally:
                os.close(descriptor)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter).result()

    def free_port(self) -> int:
        return self.inside(_free_port)

    @property
    def _pid(self) -> int:
        assert self._home is not None
        return self._home.pid

    def _within(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self._pid}", "--mount", "--net", "--", *command]

    def _argv(self, *arguments: str) -> list[str]:
        folders = [f"--{name}={self.folder / name}" for name in ("root", "runroot", "tmpdir")]
        return self._within("podman", *folders, *arguments)

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


async def _own_namespaces() -> asyncio.subprocess.Process:
    """A process in a network and mounts of its own, which last as long as it does. It ends with us at the latest."""
    home = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "--net", "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert home.stdin is not None
    assert home.stdout is not None
    home.stdin.write(b"there\n")
    async with asyncio.timeout(DEADLINE_S):
        assert await home.stdout.readline() == b"there\n"
    return home


async def _run(*argv: str, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, err.decode()
    return out.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
