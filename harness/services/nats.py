"""A real nats-server with JetStream, on a port and a store that outlive its process.

Killed and started again it is the same server to its clients. Ready in milliseconds, so a test owns one.
"""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services.mounts import mount_tmpfs
from harness.services.ports import HOST, PortLease, lease
from harness.services.process import ManagedProcess, log_mark
from harness.services.warden import Warden

READY_WITHIN_S = 20.0
MAX_PAYLOAD_BYTES = 1024 * 1024
STORE_BYTES_MAX = 4 * 1024**3
_MEMORY_BYTES_MAX = 256 * 1024**2
_READY_OR_FATAL = r"Server is ready|\[FTL\] (?P<fatal>.*)"


@dataclass(frozen=True, slots=True)
class NatsUser:
    """A login. `none` may connect and then neither publish nor subscribe to anything."""

    name: str
    password: str
    rights: Literal["all", "none"] = "all"


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """What differs from the server's defaults. No users means no login is asked for.

    `sync_interval` is how often JetStream calls fsync, in the server's own notation ("2m", "always").
    """

    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    sync_interval: str | None = None
    users: Sequence[NatsUser] = ()


class NatsServer:
    """Owns one nats-server: its process, its two ports, and the files in its folder (not the folder itself)."""

    def __init__(
        self, binary: Path, folder: Path, *, warden: Warden, recorder: Recorder | None, name: str, options: NatsOptions
    ) -> None:
        self.name = name
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self.options = options
        self._binary = binary
        self._warden = warden
        self._recorder = recorder
        self._leases: list[PortLease] = [lease(), lease()]
        self._process: ManagedProcess | None = None
        self._stopped = False
        self.on_small_disk = False

    @classmethod
    async def start(
        cls,
        binary: Path,
        folder: Path,
        *,
        warden: Warden,
        recorder: Recorder | None = None,
        name: str = "nats",
        options: NatsOptions | None = None,
    ) -> Self:
        """Raises ServiceError with the end of the server's log if it does not come up."""
        server = cls(binary, folder, warden=warden, recorder=recorder, name=name, options=options or NatsOptions())
        try:
            server._write_config()
            await server.restart()
        except BaseException:
            await server.stop()
            raise
        return server

    @property
    def port(self) -> int:
        return self._leases[0].port

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        """host:port, as a proxy wants its upstream."""
        return f"{HOST}:{self.port}"

    @property
    def monitoring_url(self) -> str:
        return f"http://{HOST}:{self._leases[1].port}"

    @property
    def store_path(self) -> Path:
        """The folder that JetStream keeps its files in."""
        return self.folder / "jetstream"

    @property
    def process(self) -> ManagedProcess:
        if self._process is None:
            raise ServiceError(f"{self.name} was never started")
        return self._process

    def url_for(self, user: str, address: str | None = None) -> str:
        """The URL with that user's login, through `address` (a proxy's host:port) if given."""
        for known in self.options.users:
            if known.name == user:
                return f"nats://{known.name}:{known.password}@{address or self.address}"
        raise ServiceError(f"{self.name} has no user {user!r}; known: {[u.name for u in self.options.users]}")

    async def restart(self) -> None:
        """Start the process again on the same ports and store. Ends a running one in order first."""
        if self._stopped:
            raise ServiceError(f"{self.name} was stopped and gave its ports back; start a new one")
        if self._process is not None and self._process.running:
            await self._process.stop()
        mark = log_mark(self.log_path)
        process = await ManagedProcess.spawn(
            self.name,
            [self._binary, "-c", self._config_path],
            env={},
            cwd=self.folder,
            log_path=self.log_path,
            warden=self._warden,
            recorder=self._recorder,
        )
        self._process = process
        try:
            line = await process.wait_log(_READY_OR_FATAL, since=mark, deadline_s=READY_WITHIN_S)
        except BaseException:
            await process.kill()
            raise
        if reason := line["fatal"]:
            await process.kill()
            raise ServiceError(f"{self.name} cannot start: {reason}")
        process.record("ready")

    async def kill(self) -> None:
        """SIGKILL. Ports and store stay for `restart`."""
        await self.process.kill()

    async def wipe(self) -> None:
        """SIGKILL, and all that it stored is gone; `restart` begins with an empty store."""
        await self.kill()
        # What is mounted there stays mounted.
        for entry in self.store_path.iterdir():
            await asyncio.to_thread(shutil.rmtree, entry)

    async def move_to_small_disk(self, size_bytes: int) -> None:
        """Restart it with its store on a disk of its own that holds so much. Raises ServiceError."""
        await self.kill()
        kept = self.store_path.with_name("jetstream-kept")
        self.store_path.rename(kept)
        self.store_path.mkdir()
        self._warden.own_mount(self.store_path)
        self.on_small_disk = True
        await mount_tmpfs(self.store_path, size_bytes)
        await asyncio.to_thread(shutil.copytree, kept, self.store_path, dirs_exist_ok=True)
        await asyncio.to_thread(shutil.rmtree, kept)
        await self.restart()

    async def stop(self) -> None:
        """End it for good and give the ports back. Idempotent."""
        try:
            if self._process is not None:
                await self._process.stop()
        finally:
            self._stopped = True
            for held in self._leases:
                held.release()
            if self.on_small_disk:
                self._warden.release_mount(self.store_path)

    @property
    def _config_path(self) -> Path:
        return self.folder / f"{self.name}.conf"

    def _write_config(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config: dict[str, object] = {
            "server_name": self.name,
            "host": HOST,
            "port": self.port,
            "http": f"{HOST}:{self._leases[1].port}",
            "max_payload": self.options.max_payload_bytes,
            "jetstream": {
                "store_dir": str(self.store_path),
                "max_file_store": STORE_BYTES_MAX,
                "max_memory_store": _MEMORY_BYTES_MAX,
                **({"sync_interval": self.options.sync_interval} if self.options.sync_interval else {}),
            },
        }
        if self.options.users:
            config["authorization"] = {"users": [_user_config(user) for user in self.options.users]}
        # The server's notation is a superset of JSON.
        self._config_path.touch(mode=0o600)
        self._config_path.write_text(json.dumps(config, indent=1))


def _user_config(user: NatsUser) -> dict[str, object]:
    login: dict[str, object] = {"user": user.name, "password": user.password}
    if user.rights == "none":
        login["permissions"] = {"publish": {"deny": ">"}, "subscribe": {"deny": ">"}}
    return login
