"""Each bad value of the environment is one clear line that names the variable and never shows a secret."""

from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.settings import OperatorSettings

GOOD = {"FLEET_NATS_URL": "nats://u:s3cret@127.0.0.1:4222", "FLEET_NAMESPACE": "fleet"}


def test_the_smallest_environment() -> None:
    """Two variables are enough: the rest has defaults, and no kubeconfig means the pod's service account."""
    settings = OperatorSettings.from_environment(GOOD)
    assert settings == OperatorSettings(
        nats_url=GOOD["FLEET_NATS_URL"],
        kubeconfig=None,
        namespace="fleet",
        http_host="127.0.0.1",
        http_port=8080,
        start_timeout_s=30.0,
        stale_after_s=90.0,
    )


def test_everything_can_be_set(tmp_path: Path) -> None:
    """Every variable is taken; an IPv6 address loses its brackets, blanks around a value are dropped."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("x")
    settings = OperatorSettings.from_environment(
        {
            "FLEET_NATS_URL": " tls://h:1 ",
            "KUBECONFIG": str(kubeconfig),
            "FLEET_NAMESPACE": "a-1",
            "FLEET_HTTP_ADDR": "[::1]:0",
            "FLEET_START_TIMEOUT_S": "0.5",
            "FLEET_STALE_AFTER_S": "604800",
        }
    )
    assert settings.nats_url == "tls://h:1"
    assert settings.kubeconfig == kubeconfig
    assert (settings.http_host, settings.http_port, settings.start_timeout_s) == ("::1", 0, 0.5)
    assert settings.stale_after_s == 7 * 86400


NATS = "FLEET_NATS_URL is not a NATS address: expected nats://HOST:PORT"
NAMESPACE = "FLEET_NAMESPACE is not a namespace name: expected lower-case letters, digits and dashes"
ADDRESS = "FLEET_HTTP_ADDR is not an address: expected HOST:PORT"
START = "FLEET_START_TIMEOUT_S is not a time: expected seconds above 0, at most 3600"
STALE = "FLEET_STALE_AFTER_S is not a time: expected seconds above 0, at most 604800"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("FLEET_NATS_URL", "", "FLEET_NATS_URL is not set: expected nats://HOST:PORT"),
        ("FLEET_NATS_URL", "  ", "FLEET_NATS_URL is not set: expected nats://HOST:PORT"),
        ("FLEET_NATS_URL", "nats://u:s3cret@h", NATS),
        ("FLEET_NATS_URL", "nats://u:s3cret@h:99999", NATS),
        ("FLEET_NATS_URL", "nats://u:s3c#ret@h:4222", NATS),
        ("FLEET_NATS_URL", "https://h:4222", NATS),
        ("FLEET_NAMESPACE", "", "FLEET_NAMESPACE is not set: expected a namespace of the cluster"),
        ("FLEET_NAMESPACE", "Fleet", NAMESPACE),
        ("FLEET_NAMESPACE", "a/b", NAMESPACE),
        ("FLEET_NAMESPACE", "a" * 64, NAMESPACE),
        ("FLEET_HTTP_ADDR", "8080", ADDRESS),
        ("FLEET_HTTP_ADDR", ":8080", ADDRESS),
        ("FLEET_HTTP_ADDR", "host:", ADDRESS),
        ("FLEET_HTTP_ADDR", "host:http", ADDRESS),
        ("FLEET_HTTP_ADDR", "host:65536", ADDRESS),
        ("FLEET_HTTP_ADDR", "host:²", ADDRESS),
        ("FLEET_START_TIMEOUT_S", "soon", START),
        ("FLEET_START_TIMEOUT_S", "0", START),
        ("FLEET_START_TIMEOUT_S", "-1", START),
        ("FLEET_START_TIMEOUT_S", "nan", START),
        ("FLEET_START_TIMEOUT_S", "inf", START),
        ("FLEET_START_TIMEOUT_S", "3601", START),
        ("FLEET_STALE_AFTER_S", "a while", STALE),
        ("FLEET_STALE_AFTER_S", "0", STALE),
        ("FLEET_STALE_AFTER_S", "604801", STALE),
        ("FLEET_STALE_AFTER_S", "nan", STALE),
        ("KUBECONFIG", "/nowhere/config", "KUBECONFIG: /nowhere/config is not a readable file"),
        ("KUBECONFIG", "/", "KUBECONFIG: / is not a readable file"),
    ],
)
def test_a_bad_value_is_one_line(name: str, value: str, line: str) -> None:
    """The variable, and what it should hold; a credential in the value does not reach the message."""
    with pytest.raises(SettingsError) as refusal:
        OperatorSettings.from_environment(GOOD | {name: value})
    assert str(refusal.value) == line
    assert "s3c" not in str(refusal.value)
