"""Bad input to the real `fleet operator`: one line for a person, the documented exit code, nothing left.

2 is a setting that nobody could use; 3 a NATS server or a Kubernetes API that refused or is not there. JSON log lines
may stand beside the line; no secret stands anywhere.
"""

import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import nats
import pytest
import trustme

from harness.env import Foundation
from harness.services.kube_config import kubeconfig_text
from harness.services.nats import NatsOptions, NatsServer, NatsUser
from harness.services.ports import HOST, PortLease, lease
from scenarios.tests.commands import FLEET, Ended, Footprint, run

BAD_INPUT = 2
PEER = 3
TOKEN = secrets.token_urlsafe(12)
PASSWORD = secrets.token_urlsafe(12)
# Its start may take a second; Python's own start and end come on top.
START_TIMEOUT_S = "1"


@pytest.fixture(scope="module")
def closed_port() -> Iterator[PortLease]:
    """A port of ours that nobody listens on."""
    with lease() as held:
        yield held


@pytest.fixture(scope="module")
async def broker(foundation: Foundation) -> AsyncIterator[NatsServer]:
    """A NATS server that asks for a login."""
    folder = foundation.warden.temp_folder("bad-input-", parent=foundation.folder)
    options = NatsOptions(users=[NatsUser("op", PASSWORD)])
    server = await NatsServer.start(foundation.nats_binary, folder, warden=foundation.warden, options=options)
    yield server
    await server.stop()
    foundation.warden.remove_folder(folder)


async def operator(footprint: Footprint, kubeconfig: str, changes: Mapping[str, str | None]) -> Ended:
    """Run it with a kubeconfig of this text; `changes` are environment variables."""
    path = footprint.cwd / "kubeconfig"
    path.write_text(kubeconfig)
    settings = {
        "FLEET_NATS_URL": f"nats://{HOST}:1",
        "FLEET_NAMESPACE": "fleet",
        "FLEET_HTTP_ADDR": f"{HOST}:0",
        "FLEET_START_TIMEOUT_S": START_TIMEOUT_S,
        "KUBECONFIG": str(path),
    }
    ended = await run([*FLEET, "operator"], footprint, changes={**settings, **changes}, deadline_s=30.0)
    assert TOKEN not in ended.text
    assert PASSWORD not in ended.text
    return ended


def the_line(ended: Ended, code: int) -> str:
    """The one line for a person; every other line is a log record."""
    assert (ended.code, list(ended.out)) == (code, []), ended.text
    lines = [line for line in ended.err if not line.startswith("{")]
    for line in ended.err:
        if line.startswith("{"):
            assert json.loads(line)["event"] != "crashed", line
    assert len(lines) == 1, ended.text
    assert lines[0].startswith("fleet: ")
    return lines[0]


def offline(port: int = 1) -> str:
    """A kubeconfig of an API server that nobody asks, or that is not there."""
    ca = trustme.CA().cert_pem.bytes()
    return kubeconfig_text(
        server=f"https://{HOST}:{port}", ca_pem=ca, token=TOKEN, user="operator", namespace="default"
    )


SETTINGS: dict[str, tuple[Mapping[str, str | None], str]] = {
    "nats-missing": ({"FLEET_NATS_URL": None}, "FLEET_NATS_URL is not set: expected nats://HOST:PORT"),
    "nats-no-scheme": ({"FLEET_NATS_URL": f"op:{PASSWORD}@localhost"}, "FLEET_NATS_URL is not a NATS address"),
    "nats-no-port": ({"FLEET_NATS_URL": "nats://localhost"}, "FLEET_NATS_URL is not a NATS address"),
    "nats-port-too-high": ({"FLEET_NATS_URL": "nats://localhost:99999"}, "FLEET_NATS_URL is not a NATS address"),
    "namespace-missing": ({"FLEET_NAMESPACE": ""}, "FLEET_NAMESPACE is not set: expected a namespace of the cluster"),
    "namespace-bad": ({"FLEET_NAMESPACE": "My_Fleet"}, "FLEET_NAMESPACE is not a namespace name: expected lower-case"),
    "namespace-a-path": ({"FLEET_NAMESPACE": "../kube-system"}, "FLEET_NAMESPACE is not a namespace name"),
    "http-no-host": ({"FLEET_HTTP_ADDR": "8080"}, "FLEET_HTTP_ADDR is not an address: expected HOST:PORT"),
    "http-port-too-high": ({"FLEET_HTTP_ADDR": "127.0.0.1:70000"}, "FLEET_HTTP_ADDR is not an address"),
    "timeout": ({"FLEET_START_TIMEOUT_S": "soon"}, "FLEET_START_TIMEOUT_S is not a time: expected seconds"),
    "kubeconfig-missing": ({"KUBECONFIG": "/nonexistent/config"}, "KUBECONFIG: /nonexistent/config is not a readable"),
    "kubeconfig-a-folder": ({"KUBECONFIG": "/"}, "KUBECONFIG: / is not a readable file"),
}


@pytest.mark.parametrize("row", SETTINGS.values(), ids=SETTINGS)
async def test_a_bad_setting_is_named(row: tuple[Mapping[str, str | None], str], footprint: Footprint) -> None:
    """The variable and what it should hold; nothing was asked of anybody."""
    changes, text = row
    line = the_line(await operator(footprint, offline(), changes), BAD_INPUT)
    assert line.startswith(f"fleet: {text}")
    assert footprint.left() == []


KUBECONFIGS = {
    "empty": "",
    "not-yaml": "clusters: [",
    "binary": "\x00\x7fELF\x02",
    "another-file": "[section]\nkey = value\n",
    "no-context": "apiVersion: v1\nkind: Config\n",
    "cut-short": offline()[:300],
    "bad-certificate": offline().replace("LS0tLS1", "AAAA"),
}


@pytest.mark.parametrize("text", KUBECONFIGS.values(), ids=KUBECONFIGS)
async def test_a_garbage_kubeconfig_is_named(text: str, footprint: Footprint) -> None:
    """Whatever the file holds, the line names the file."""
    line = the_line(await operator(footprint, text, {}), BAD_INPUT)
    assert line.startswith(f"fleet: kubeconfig {footprint.cwd / 'kubeconfig'}: ")
    assert footprint.left() == []


async def test_an_occupied_address_is_named(footprint: Footprint) -> None:
    """Who sits on FLEET_HTTP_ADDR stays there; the operator says so."""
    with closing(socket.create_server((HOST, 0))) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        ended = await operator(footprint, offline(), {"FLEET_HTTP_ADDR": address})
    line = the_line(ended, BAD_INPUT)
    assert line.startswith(f"fleet: FLEET_HTTP_ADDR: cannot listen on {address}: ")
    assert "already in use" in line
    assert footprint.left() == []


async def test_a_refused_nats_port_is_named(closed_port: PortLease, footprint: Footprint) -> None:
    """Nobody listens there: how long it was tried, and which variable to check."""
    url = f"nats://op:{PASSWORD}@{HOST}:{closed_port.port}"
    line = the_line(await operator(footprint, offline(), {"FLEET_NATS_URL": url}), PEER)
    assert line.startswith(f"fleet: NATS at nats://{HOST}:{closed_port.port} did not answer within 1 s: ")
    assert line.endswith("check FLEET_NATS_URL")
    assert footprint.left() == []


async def test_an_unknown_nats_host_is_named(footprint: Footprint) -> None:
    """A name that no resolver knows (RFC 6761 keeps `.invalid` for that)."""
    line = the_line(await operator(footprint, offline(), {"FLEET_NATS_URL": "nats://nats.invalid:4222"}), PEER)
    assert line.startswith("fleet: NATS at nats://nats.invalid:4222 did not answer within 1 s: ")
    assert line.endswith("check FLEET_NATS_URL")
    assert footprint.left() == []


@pytest.mark.parametrize("login", ["", "op:wrong@", f"stranger:{PASSWORD}@"], ids=["none", "password", "user"])
async def test_a_wrong_nats_login_is_refused_at_once(login: str, broker: NatsServer, footprint: Footprint) -> None:
    """The server said no: that is told without waiting for the time limit."""
    changes = {"FLEET_NATS_URL": f"nats://{login}{broker.address}", "FLEET_START_TIMEOUT_S": "25"}
    line = the_line(await operator(footprint, offline(), changes), PEER)
    assert line.startswith(f"fleet: NATS at nats://{broker.address} refused the credentials: ")
    assert footprint.left() == []


async def test_a_server_that_is_no_nats_is_named(broker: NatsServer, footprint: Footprint) -> None:
    """Something answers there, but not NATS: still one line with the address."""
    address = broker.monitoring_url.removeprefix("http://")
    line = the_line(await operator(footprint, offline(), {"FLEET_NATS_URL": f"nats://{address}"}), PEER)
    assert line.startswith(f"fleet: NATS at nats://{address} ")
    assert footprint.left() == []


async def test_an_api_server_that_is_away_is_named(
    closed_port: PortLease, broker: NatsServer, footprint: Footprint
) -> None:
    """Nobody listens at the kubeconfig's server: its address and how long it was tried."""
    ended = await operator(footprint, offline(closed_port.port), {"FLEET_NATS_URL": broker.url_for("op")})
    line = the_line(ended, PEER)
    assert "gave up after 1 s: " in line
    assert f"https://{HOST}:{closed_port.port}" in line
    assert footprint.left() == []


async def test_a_user_without_rights_is_told_which_are_missing(
    foundation: Foundation, broker: NatsServer, footprint: Footprint
) -> None:
    """Every missing right, the namespace, where it says what is needed; no bucket was made before that."""
    ended = await operator(footprint, foundation.kube.kubeconfig("nobody"), {"FLEET_NATS_URL": broker.url_for("op")})
    line = the_line(ended, PEER)
    rights = (
        "get deployments, list deployments, watch deployments, patch deployments, patch deployments/status, "
        "get devices, list devices, watch devices, create devices, patch devices, create events, "
        "get configmaps, create configmaps, patch configmaps, "
        "get customresourcedefinitions deployments.fleet.fleetproof.dev, "
        "get customresourcedefinitions devices.fleet.fleetproof.dev"
    )
    assert f"this user may not {rights} in namespace fleet" in line
    assert "docs/contract.md" in line
    assert foundation.kube.token("nobody") not in ended.text
    assert await streams(broker) == 0
    assert footprint.left() == []


async def test_a_token_that_nobody_gave_out_is_refused(
    foundation: Foundation, broker: NatsServer, footprint: Footprint
) -> None:
    """401: the server's address or its words, and no bucket."""
    text = kubeconfig_text(
        server=foundation.kube.url, ca_pem=foundation.kube.ca_pem, token=TOKEN, user="operator", namespace="default"
    )
    line = the_line(await operator(footprint, text, {"FLEET_NATS_URL": broker.url_for("op")}), PEER)
    assert "401" in line
    assert await streams(broker) == 0
    assert footprint.left() == []


async def test_an_api_server_of_another_ca_is_not_trusted(
    foundation: Foundation, broker: NatsServer, footprint: Footprint
) -> None:
    """The certificate is the reason, and it is said."""
    text = offline(foundation.kube.port)
    line = the_line(await operator(footprint, text, {"FLEET_NATS_URL": broker.url_for("op")}), PEER)
    assert f"{foundation.kube.url}: its certificate is not trusted" in line
    assert footprint.left() == []


async def streams(broker: NatsServer) -> int:
    """How many there are in the account."""
    client = await nats.connect(broker.url_for("op"))
    try:
        return int((await client.jetstream().account_info()).streams)
    finally:
        await client.close()


async def test_crds_need_a_kubeconfig_that_is_there(footprint: Footprint, tmp_path: Path) -> None:
    """`fleet crds --apply` names the file it was given and did not find."""
    missing = tmp_path / "no-such-config"
    ended = await run([*FLEET, "crds", "--apply", "--kubeconfig", str(missing)], footprint)
    assert (ended.code, list(ended.out)) == (BAD_INPUT, [])
    assert list(ended.err) == [f"fleet: KUBECONFIG: {missing} is not a readable file"]
    assert footprint.left() == []
