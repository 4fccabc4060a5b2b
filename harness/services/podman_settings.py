"""The configuration of podman on a device host. Pure: file names below /etc/containers -> their text.

Everything else is podman's own default: within a host its storage, its sockets and its configuration stand where they
stand on any machine, so `podman` needs no options there.
"""

from typing import Final

STORAGE: Final = "/var/lib/containers"
SOCKET: Final = "/run/podman/podman.sock"
EVENTS: Final = "events.log"
"""Below the storage: it outlives a power cut."""

EXIT_COMMAND_DELAY_S: Final = 5
"""How long podman keeps the process that cleans up after each exec. Its default is five minutes: with a health check
every few seconds as many processes as that wait on the device. docs/how-to-run-an-agent.md tells every device to."""

# Found by trying: without the right to raise a limit (CAP_SYS_RESOURCE) neither crun nor podman's own limits of a
# container work, and there is no systemd on a host to manage its control groups.
_CONTAINERS: Final = f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
events_logfile_path = "{STORAGE}/{EVENTS}"
events_logfile_max_size = "1g"
image_copy_tmp_dir = "storage"
exit_command_delay = {EXIT_COMMAND_DELAY_S}

[network]
network_backend = "netavark"
"""

# Files as they are, without a mount: an overlay cannot lie on an overlay, as the disk of a CI's container is.
_STORAGE: Final = f"""
[storage]
driver = "vfs"
graphroot = "{STORAGE}/storage"
runroot = "/run/containers/storage"
"""

# An image that is not there is not there: nobody is asked over a network, again and again.
_REGISTRIES: Final = """
unqualified-search-registries = []

[[registry]]
location = "localhost"
blocked = true
"""

FILES: Final = {
    "containers.conf": _CONTAINERS,
    "storage.conf": _STORAGE,
    "registries.conf": _REGISTRIES,
    "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
}
