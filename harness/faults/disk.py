"""The broker's disk: full, or read-only. Both are asked of the broker itself, which is to make a stream and cannot."""

from typing import Final

from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from harness.capability.attempt import Obstacle, run
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.fault import Fault
from harness.services.mounts import mount_read_only
from harness.services.nats import NatsServer
from harness.services.warden import Warden
from harness.wait import wait_for

SMALL_DISK_BYTES: Final = 8 * 1024 * 1024
_PROBE_STREAM: Final = "fleetproof-probe"
# How the broker says that it cannot store: "error creating store for stream", or the system's own words.
_STORE_FAILED: Final = ("err_code=10049", "err_code=10077")
_ANSWER_WITHIN_S: Final = 10.0
_CHUNK_BYTES: Final = 64 * 1024
_MOUNT_WITHIN_S: Final = 10.0


class _Disk(Fault):
    target = "broker's disk"

    def __init__(self, server: NatsServer, js: JetStreamContext) -> None:
        self._server = server
        self._js = js

    def available(self) -> str | None:
        try:
            # In a mount namespace of its own, which ends with it.
            ended = run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], deadline_s=_MOUNT_WITHIN_S)
        except Obstacle as e:
            return f"mounts: {e}"
        return None if ended.code == 0 else f"mounts: {ended.refusal()}"

    async def prove_active(self) -> str:
        async def probe() -> str | None:
            """The broker's refusal. That it does not answer yet is none."""
            try:
                await self._make_stream()
            except ServiceError as e:
                if any(code in str(e) for code in _STORE_FAILED):
                    return str(e)
                raise
            return ""

        said = await wait_for("the broker to answer", probe, deadline_s=_ANSWER_WITHIN_S, expect=(ServiceError,))
        if not said:
            raise ServiceError("the broker made a stream: its disk takes what comes")
        return said

    async def prove_healed(self) -> str:
        async def probe() -> str:
            await self._make_stream()
            return "the broker stores again: a stream was made"

        return await wait_for("the broker to store", probe, deadline_s=_ANSWER_WITHIN_S, expect=(ServiceError,))

    async def _make_stream(self) -> None:
        """Make one and take it away again. Raises ServiceError with what the broker says."""
        await streams.make(self._js, StreamConfig(name=_PROBE_STREAM, subjects=[_PROBE_STREAM]))
        with streams.explained(f"{_PROBE_STREAM} cannot be deleted"):
            await self._js.delete_stream(_PROBE_STREAM)


class DiskFull(_Disk):
    """Somebody else fills the disk that the store is on, which has to be a small one (`move_to_small_disk`).

    The server never gets over a write that failed, so it is started again once there is room.
    """

    name = "disk-full"

    def __init__(self, server: NatsServer, js: JetStreamContext) -> None:
        super().__init__(server, js)
        self._filler = server.store_path / "filler"

    async def apply(self) -> None:
        if not self._server.on_small_disk:
            raise ServiceError(f"{self._server.store_path} is not on a disk of its own; nobody fills another")
        # The last bytes, too: a page that is not full yet takes more.
        with self._filler.open("wb", buffering=0) as filler:
            for chunk_bytes in (_CHUNK_BYTES, 1):
                for _ in range(SMALL_DISK_BYTES):
                    try:
                        filler.write(bytes(chunk_bytes))
                    except OSError:
                        break

    async def heal(self) -> None:
        await self._server.kill()
        self._filler.unlink(missing_ok=True)
        await self._server.restart()


class StoreReadOnly(_Disk):
    """The server comes back on a store that it may read and not write, as after an error of the disk.

    It then knows none of its buckets, and has them all again once it may write.
    """

    name = "store-read-only"

    def __init__(self, server: NatsServer, js: JetStreamContext, warden: Warden) -> None:
        super().__init__(server, js)
        self._warden = warden
        # Its own folder stays writable: the server refuses to start where that is not.
        self._streams_path = server.store_path / "jetstream" / "$G" / "streams"

    async def apply(self) -> None:
        await self._server.kill()
        self._streams_path.mkdir(parents=True, exist_ok=True)
        self._warden.own_mount(self._streams_path)
        await mount_read_only(self._streams_path)
        await self._server.restart()

    async def heal(self) -> None:
        await self._server.kill()
        self._warden.release_mount(self._streams_path)
        await self._server.restart()

    async def close(self) -> None:
        self._warden.release_mount(self._streams_path)
