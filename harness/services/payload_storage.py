"""Podman's storage with the payload images in it, made once and copied to each device host."""

import asyncio
import shutil
from pathlib import Path

from harness.services import payload_images
from harness.services.device_host import DeviceHost
from harness.services.warden import Warden


async def make_storage(folder: Path, *, warden: Warden) -> Path:
    """A new folder `payload-storage` below `folder`, for `DeviceHost.start`. About a second.

    Raises:
        ServiceError: no container storage can be made here.
        MissingPart: there is no busybox.
    """
    storage = folder / "payload-storage"
    host = await DeviceHost.start("images", logs=folder, warden=warden)
    try:
        archive = host.root / "payload.tar"
        archive.write_bytes(payload_images.root_archive())
        for version in payload_images.VERSIONS:
            await host.podman(*payload_images.import_arguments(archive, version))
        await host.stop_podman()
        host.events.unlink()
        await asyncio.to_thread(shutil.copytree, host.folder / "disk", storage, symlinks=True)
    finally:
        await host.close()
    return storage
