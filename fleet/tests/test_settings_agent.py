"""What the agent takes from its environment: each bad value is one clear line that names the variable."""

from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.settings import AgentSettings
from fleet.wire import device_id

GOOD = {"FLEET_NATS_URL": "nats://u:s3cret@127.0.0.1:4222", "FLEET_DEVICE_ID": "edge-1.hamburg"}


def test_the_smallest_environment() -> None:
    """A server and a name are enough: the rest is as on a device."""
    assert AgentSettings.from_environment(GOOD) == AgentSettings(
        nats_url=GOOD["FLEET_NATS_URL"],
        device=device_id("edge-1.hamburg"),
        root=Path("/"),
        podman_socket=Path("/run/podman/podman.sock"),
        labels={},
        heartbeat_s=30.0,
        tick_s=10.0,
    )


def test_everything_can_be_set() -> None:
    """Several agents on one machine; labels may be empty, and blanks and a comma at the end do no harm."""
    settings = AgentSettings.from_environment(
        GOOD
        | {
            "FLEET_ROOT": "/srv/agent one",
            "FLEET_PODMAN_SOCKET": "/" + "s" * 106,
            "FLEET_LABELS": "fleet.example/site=hamburg, tier=edge,empty=,",
            "FLEET_HEARTBEAT_S": "0.5",
            "FLEET_TICK_S": "3600",
        }
    )
    assert settings.root == Path("/srv/agent one")
    assert str(settings.podman_socket) == "/" + "s" * 106
    assert settings.labels == {"fleet.example/site": "hamburg", "tier": "edge", "empty": ""}
    assert (settings.heartbeat_s, settings.tick_s) == (0.5, 3600)


LABELS = "FLEET_LABELS is not a list of KEY=VALUE,KEY=VALUE: expected a Kubernetes label"
SOCKET = "FLEET_PODMAN_SOCKET is not a path: expected an absolute one of at most 107 bytes"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("FLEET_NATS_URL", "", "FLEET_NATS_URL is not set: expected nats://HOST:PORT"),
        ("FLEET_NATS_URL", "nats://u:s3cret@h", "FLEET_NATS_URL is not a NATS address: expected nats://HOST:PORT"),
        ("FLEET_DEVICE_ID", " ", "FLEET_DEVICE_ID is not set: expected a name that no other device has"),
        ("FLEET_DEVICE_ID", "Edge_1", "FLEET_DEVICE_ID is not a device id: expected a DNS subdomain"),
        ("FLEET_DEVICE_ID", "a..b", "FLEET_DEVICE_ID is not a device id: expected a DNS subdomain"),
        ("FLEET_ROOT", "", "FLEET_ROOT is not a path: expected an absolute one of at most 1024 bytes"),
        ("FLEET_ROOT", "srv", "FLEET_ROOT is not a path: expected an absolute one of at most 1024 bytes"),
        ("FLEET_ROOT", "/" + "x" * 1024, "FLEET_ROOT is not a path: expected an absolute one of at most 1024 bytes"),
        ("FLEET_PODMAN_SOCKET", "podman.sock", SOCKET),
        ("FLEET_PODMAN_SOCKET", "unix:///run/podman.sock", SOCKET),
        ("FLEET_PODMAN_SOCKET", "/" + "s" * 107, SOCKET),
        ("FLEET_PODMAN_SOCKET", "/" + "ü" * 60, SOCKET),
        ("FLEET_LABELS", "site", "FLEET_LABELS: expected KEY=VALUE, once for each key, at 'site'"),
        ("FLEET_LABELS", "a=1,a=2", "FLEET_LABELS: expected KEY=VALUE, once for each key, at 'a'"),
        ("FLEET_LABELS", "=x", f"{LABELS} key"),
        ("FLEET_LABELS", "a/b/c=x", f"{LABELS} key"),
        ("FLEET_LABELS", "a=b=c", f"{LABELS} value"),
        ("FLEET_LABELS", "a=b c", f"{LABELS} value"),
        ("FLEET_LABELS", "a=" + "x" * 64, f"{LABELS} value"),
        ("FLEET_LABELS", ",".join(f"k{n}=" for n in range(65)), "FLEET_LABELS: at most 64 labels, got 65"),
        ("FLEET_HEARTBEAT_S", "0", "FLEET_HEARTBEAT_S is not a time: expected seconds above 0, at most 3600"),
        ("FLEET_TICK_S", "nan", "FLEET_TICK_S is not a time: expected seconds above 0, at most 3600"),
    ],
)
def test_a_bad_value_is_one_line(name: str, value: str, line: str) -> None:
    """The variable, and what it should hold; a credential in the value does not reach the message."""
    with pytest.raises(SettingsError) as refusal:
        AgentSettings.from_environment(GOOD | {name: value})
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)
    assert "s3c" not in str(refusal.value)
