"""The agent under test: a program started from the environment variables of docs/contract.md, on a device host.

It lives in the host's namespaces, so it ends with the host's power.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.services import podman_settings
from harness.services.device_host import DeviceHost
from harness.services.process import ManagedProcess

BEAT_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.5
"""An agent's own rates are for thousands of devices; a test has a few."""


async def start_agent(
    command: Sequence[str],
    host: DeviceHost,
    *,
    name: str,
    nats_url: str | None = None,
    device_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> ManagedProcess:
    """One life of an agent; start another one after its end.

    Args:
        command: its program and arguments.
        host: the machine that it works on.
        name: in the history, and of its log.
        nats_url: where it finds NATS, as seen from the host; None: through the host's link.
        device_id: None: the host's name.
        labels: of its device-info.
        extra: environment variables on top; the history tells them.

    Raises:
        ServiceError: it cannot be started, or the host has no power.
    """
    env = {
        "FLEET_NATS_URL": nats_url or host.nats_url,
        "FLEET_DEVICE_ID": device_id or host.name,
        "FLEET_ROOT": str(host.root),
        "FLEET_PODMAN_SOCKET": podman_settings.SOCKET,
        "FLEET_LABELS": ",".join(f"{key}={value}" for key, value in (labels or {}).items()),
        "FLEET_HEARTBEAT_S": f"{BEAT_EVERY_S:g}",
        "FLEET_TICK_S": f"{LOOK_EVERY_S:g}",
        **(extra or {}),
    }
    return await host.spawn(name, command, env=env, settings=extra)
