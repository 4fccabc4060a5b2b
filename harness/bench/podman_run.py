"""What `podman run` is told to make the same container as an agent does, and whether it is the same. Pure."""

import hashlib
import json
from datetime import datetime

import msgspec

from fleet.wire import Lifecycle, Service
from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube_answers import mapping

_LOG_BYTES_MAX = 10 * 1024 * 1024
# Of one container and no other: its id, its labels, when and by whom it was made.
_OWN_CONFIG = ("Hostname", "Labels", "CreateCommand", "Annotations")
_OWN_ENV = "HOSTNAME="


class _State(msgspec.Struct):
    started_at: datetime = msgspec.field(name="StartedAt")


class Inspected(msgspec.Struct):
    """What matters here of `podman inspect`."""

    state: _State = msgspec.field(name="State")
    image: str = msgspec.field(name="Image")
    config: dict[str, object] = msgspec.field(name="Config")
    host_config: dict[str, object] = msgspec.field(name="HostConfig")
    mounts: list[object] = msgspec.field(name="Mounts")

    @property
    def started_s(self) -> float:
        """Unix time, as podman wrote it down."""
        return self.state.started_at.timestamp()


def read_inspected(text: str) -> Inspected:
    """The one container of podman's answer. Raises ServiceError."""
    try:
        (found,) = msgspec.json.decode(text, type=list[Inspected])
    except (msgspec.MsgspecError, ValueError) as e:
        raise ServiceError(f"podman inspect answered no container: {text[:200]!r}") from e
    return found


def run_arguments(name: str, service: Service, lifecycle: Lifecycle) -> list[str]:
    """Of `podman`, for a detached container of this service. It publishes no port."""
    return [
        "run",
        "--detach",
        f"--name={name}",
        *(f"--env={variable.name}={variable.value}" for variable in service.env),
        *(f"--volume={v.source}:{v.target}:{'ro' if v.read_only else 'rw'}" for v in service.volumes),
        "--log-driver=k8s-file",
        f"--log-opt=max-size={_LOG_BYTES_MAX}",
        "--restart=no",
        "--no-healthcheck",
        "--http-proxy=false",
        "--sdnotify=ignore",
        f"--stop-signal={lifecycle.stop_signal}",
        f"--stop-timeout={lifecycle.grace_period_secs}",
        f"--entrypoint={json.dumps(list(service.command))}",
        service.image,
    ]


def essence(found: Inspected) -> Json:
    """What two containers of one specification have in common, by its place in podman's answer."""
    config = {key: value for key, value in found.config.items() if key not in _OWN_CONFIG}
    env = config.get("Env")
    config["Env"] = sorted(each for each in env if not each.startswith(_OWN_ENV)) if isinstance(env, list) else env
    host = dict(found.host_config)
    host["LogConfig"] = {key: value for key, value in mapping(host.get("LogConfig")).items() if key != "Path"}
    binds = host.get("Binds")
    host["Binds"] = sorted(map(str, binds)) if isinstance(binds, list) else binds
    return {
        "Image": found.image,
        "Mounts": sorted(json.dumps(mount, sort_keys=True) for mount in found.mounts),
        **{f"Config.{key}": value for key, value in config.items()},
        **{f"HostConfig.{key}": value for key, value in host.items()},
    }


def short_digest(parts: Json) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
