"""A machine to run an agent and real containers on, in namespaces of its own: there in a moment, and gone at once.

    harness's network                        the host: process, mount, network, ipc, host name, control groups
    NATS <- fault point <- relay <---veth--- agent ---socket---> podman -> conmon -> containers
                                             process 1 (device_init.py): to kill it is a power cut

What survives a power cut are its folders: podman's storage and the agent's files. All else goes with process 1: the
kernel kills whoever runs there, and takes mounts and network away. The warden owns process 1, the folder and the
control groups, so nothing is left of a harness that was killed either.
"""

import asyncio
import json
import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services import device_init, podman_settings
from harness.services.device_groups import DeviceGroups
from harness.services.device_link import DeviceLink
from harness.services.namespaces import as_first_process, beside
from harness.services.process import ManagedProcess, log_mark
from harness.services.tools import run_tool
from harness.services.warden import Warden
from harness.wait import wait_for

ENABLE: Final = "apt-get install podman runc conmon netavark iptables busybox-static iproute2, and run as root"
_UP_WITHIN_S: Final = 20.0
_COMMAND_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.005
_PING: Final = b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n"


class DeviceHost:
    """Started by `start`, ended by `close`. In between its power may be cut and come back."""

    def __init__(
        self,
        name: str,
        folder: Path,
        link: DeviceLink | None,
        *,
        logs: Path,
        warden: Warden,
        recorder: Recorder | None,
    ) -> None:
        self.name = name
        self.folder = folder
        """What survives a power cut, and `run`, which does not."""
        self.link = link
        self._logs = logs
        self._warden = warden
        self._recorder = recorder
        self._stack = AsyncExitStack()
        self._groups = DeviceGroups(warden)
        self._first: ManagedProcess | None = None
        self._podman: ManagedProcess | None = None
        self._residents: list[ManagedProcess] = []

    @classmethod
    async def start(
        cls,
        name: str,
        *,
        logs: Path,
        warden: Warden,
        storage: Path | None = None,
        nats_address: str | None = None,
        recorder: Recorder | None = None,
    ) -> Self:
        """Boot a new machine, on which podman answers.

        Args:
            name: of the machine, in the history and as its host name.
            logs: the folder for logs of its processes.
            warden: owns what it is made of.
            storage: podman's, to begin with a copy of it; None for an empty one.
            nats_address: host:port that is reached from within at `nats_url`; None for a machine without a network.
            recorder: is told of its processes, and of each connection to NATS that ends.

        Raises:
            ServiceError: this machine does not let us; nothing is left then.
        """
        async with AsyncExitStack() as stack:
            folder = warden.temp_folder("fleetproof-host-")
            stack.callback(warden.remove_folder, folder)
            link = None
            if nats_address is not None:
                link = DeviceLink(f"{name}-nats", nats_address, recorder)
                stack.push_async_callback(link.close)
            host = cls(name, folder, link, logs=logs, warden=warden, recorder=recorder)
            stack.push_async_callback(host.power_cut)
            await asyncio.to_thread(_furnish, folder, storage)
            await host.power_on()
            host._stack = stack.pop_all()
        return host

    @property
    def root(self) -> Path:
        """For the agent's files: FLEET_ROOT."""
        return self.folder / "root"

    @property
    def socket(self) -> Path:
        """Podman's, seen from outside. Within it stands where podman has it: `podman_settings.SOCKET`."""
        return self.folder / "run" / "podman" / "podman.sock"

    @property
    def events(self) -> Path:
        """Where podman writes what happens to containers, a JSON object a line. There from the first event on."""
        return self.folder / "disk" / podman_settings.EVENTS

    @property
    def nats_url(self) -> str:
        """For who runs within."""
        if self.link is None:
            raise ServiceError(f"{self.name} has no network: start it with the address of a NATS server")
        return f"nats://{self.link.listen}"

    @property
    def powered(self) -> bool:
        return self._first is not None

    @property
    def first_pid(self) -> int:
        """Process 1, as seen from here. Raises ServiceError without power."""
        return self._running().pid

    @property
    def podman_pid(self) -> int:
        """Of podman's service, as seen from outside. Raises ServiceError while there is none."""
        if self._podman is None:
            raise ServiceError(f"podman on {self.name} does not run")
        return self._podman.pid

    @property
    def podman_address(self) -> Path:
        """Of its socket, for who connects from outside, by the machine's root. Raises ServiceError without power.

        An address holds 107 bytes, and the path of `socket` may be longer.
        """
        return Path(f"/proc/{self._running().pid}/root{podman_settings.SOCKET}")

    @property
    def environment(self) -> dict[str, str]:
        """What every program within gets."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.root)}

    def enter(self, *command: str) -> list[str]:
        """What runs `command` within, as a child of a program that waits for it. Raises ServiceError without power."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["nsenter", "--target", str(self._running().pid), "--all", "--", "env", "-i", *variables, *command]

    async def podman(self, *arguments: str) -> str:
        """What podman's own command line prints, past the service and its socket. Raises ServiceError."""
        return await run_tool(*self.enter("podman", *arguments), within_s=_COMMAND_WITHIN_S, enable=ENABLE)

    async def spawn(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> ManagedProcess:
        """Start a process within, under control from here; it ends with the power. Its log is `<name>.log`.

        Raises:
            ServiceError: it cannot be started, or there is no power.
        """
        process = await ManagedProcess.spawn(
            name,
            argv,
            env={**self.environment, **(env or {})},
            cwd=self.root,
            log_path=self._logs / f"{name}.log",
            warden=self._warden,
            recorder=self._recorder,
            settings=settings,
            placement=beside(self._running().pid),
        )
        self._residents = [*(resident for resident in self._residents if resident.running), process]
        return process

    async def power_on(self) -> None:
        """Boot: the same storage, a new boot id, nothing of what only memory held. Raises ServiceError."""
        if self._first is not None:
            raise ServiceError(f"{self.name} has power already")
        run = self.folder / "run"
        await asyncio.to_thread(shutil.rmtree, run, ignore_errors=True)
        for needed in ("lock", "podman"):
            (run / needed).mkdir(mode=0o700, parents=True)
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self._groups.make()
        log = self._logs / f"{self.name}.log"
        since = log_mark(log)
        self._first = await ManagedProcess.spawn(
            self.name,
            [
                sys.executable,
                "-I",
                "-S",
                device_init.__file__,
                self.folder,
                self.name,
                json.dumps(self._groups.mounts),
            ],
            env={},
            cwd=self.folder,
            log_path=log,
            warden=self._warden,
            recorder=self._recorder,
            placement=as_first_process,
        )
        await self._first.wait_log(device_init.READY, since=since, deadline_s=_UP_WITHIN_S)
        if self.link is not None:
            await self.link.plug(self._first.pid)
        await self.start_podman()

    async def power_cut(self) -> None:
        """Whatever runs there is killed by the kernel at once; mounts and network are gone. Idempotent."""
        first, self._first = self._first, None
        residents, self._residents = self._residents, []
        self._podman = None
        if first is not None:
            await first.kill()
        for process in residents:
            await process.kill()
        if self.link is not None:
            await self.link.unplug()
        self._groups.end()

    async def stop_podman(self) -> None:
        """End the service, and its socket with it; containers go on. Idempotent."""
        podman, self._podman = self._podman, None
        if podman is not None:
            await podman.stop()
            self.socket.unlink(missing_ok=True)

    async def kill_podman(self) -> None:
        """SIGKILL to the service, in the middle of whatever it does. Its socket stays and refuses. Idempotent."""
        podman, self._podman = self._podman, None
        if podman is not None:
            await podman.kill()

    async def podman_answers(self) -> bool:
        """Whether the service does, at its socket."""
        return self._first is not None and await _ping(self.podman_address)

    async def start_podman(self) -> None:
        """On return it answers. Raises ServiceError with its last words."""
        if self._podman is not None:
            raise ServiceError(f"podman on {self.name} runs already")
        argv = ["podman", "system", "service", "--time=0", f"unix://{podman_settings.SOCKET}"]
        podman = self._podman = await self.spawn(f"{self.name}-podman", argv)

        async def answers() -> bool | None:
            podman.check_running()
            return True if await _ping(self.podman_address) else None

        await wait_for(f"podman on {self.name} to answer", answers, deadline_s=_UP_WITHIN_S, interval_s=_LOOK_EVERY_S)
        podman.record("ready")

    async def close(self) -> None:
        """End all of it, whatever fails on the way. Idempotent."""
        await self._stack.aclose()

    def _running(self) -> ManagedProcess:
        if self._first is None:
            raise ServiceError(f"{self.name} has no power")
        return self._first


def _furnish(folder: Path, storage: Path | None) -> None:
    for name in ("root", "etc"):
        (folder / name).mkdir(mode=0o700)
    for name, text in podman_settings.FILES.items():
        (folder / "etc" / name).write_text(text)
    if storage is None:
        (folder / "disk").mkdir(mode=0o700)
    else:
        shutil.copytree(storage, folder / "disk", symlinks=True)


async def _ping(path: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    try:
        writer.write(_PING)
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.transport.abort()
