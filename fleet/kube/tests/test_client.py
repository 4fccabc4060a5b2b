"""Requests: statuses become our errors, and what is sent is what the API expects."""

import base64
import tempfile
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from fleet.errors import Conflict, FleetError, PeerAway, PeerRefused, SettingsError
from fleet.kube.client import Access, KubeClient
from fleet.kube.tests.conftest import FakeApi, status

PATCH = {"metadata": {"resourceVersion": "7"}, "status": {"observedGeneration": 1}}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, PeerRefused),
        (401, PeerRefused),
        (403, PeerRefused),
        (404, PeerRefused),
        (408, PeerAway),
        (409, Conflict),
        (410, PeerRefused),
        (422, PeerRefused),
        (429, PeerAway),
        (500, PeerAway),
        (503, PeerAway),
    ],
)
async def test_a_status_is_an_error_of_ours(api: FakeApi, kube: KubeClient, code: int, kind: type[FleetError]) -> None:
    """Definite, conflict, or away: one line with request, code and the server's message."""
    api.lists = [lambda: status(code, "two\nlines")]
    with pytest.raises(kind) as error:
        await kube.list_page("devices", limit=1, continue_token="")
    assert type(error.value) is kind
    assert str(error.value) == (
        f"GET /apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/devices: {api.url}: {code} two lines"
    )


async def test_an_error_without_a_message(api: FakeApi, kube: KubeClient) -> None:
    """A proxy's HTML is not shown; the code is."""
    api.lists = [lambda: web.Response(status=502, text="<html>")]
    with pytest.raises(PeerAway, match="502 without a message"):
        await kube.list_page("devices", limit=1, continue_token="")


async def test_a_status_patch_is_a_merge_patch(api: FakeApi, kube: KubeClient) -> None:
    """It goes to the subresource, as sent, and the new version comes back."""
    seen: list[tuple[str, str, str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers["Content-Type"], await request.json()))
        return web.json_response({"metadata": {"resourceVersion": "8"}})

    api.other = answer
    assert await kube.patch_status("deployments", "web", PATCH) == "8"
    path = "/apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/deployments/web/status"
    assert seen == [("PATCH", path, "application/merge-patch+json", PATCH)]


@pytest.mark.parametrize("allowed", [True, False])
async def test_access_is_asked_for(api: FakeApi, kube: KubeClient, *, allowed: bool) -> None:
    """One review per right, in the client's namespace."""
    seen: list[dict[str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.json())["spec"]["resourceAttributes"])
        return web.json_response({"status": {"allowed": allowed}})

    api.other = answer
    assert await kube.allowed(Access("patch", "deployments", "status")) is allowed
    assert seen == [
        {
            "namespace": "ns",
            "verb": "patch",
            "group": "fleet.fleetproof.dev",
            "resource": "deployments",
            "subresource": "status",
        }
    ]


async def test_garbage_instead_of_an_answer_is_away(api: FakeApi, kube: KubeClient) -> None:
    """A captive portal that answers 200 is trouble of the peer, not a crash."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    api.other = answer
    with pytest.raises(PeerAway, match="the server sent garbage"):
        await kube.allowed(Access("list", "devices"))
    with pytest.raises(PeerAway, match="the server sent garbage"):
        await kube.patch_status("deployments", "web", PATCH)


async def test_a_body_without_end_is_refused(api: FakeApi, kube: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list over the limit does not fill our memory."""
    monkeypatch.setattr("fleet.kube.client._BODY_BYTES_MAX", 100)
    api.lists = [lambda: web.Response(text="x" * 500)]
    with pytest.raises(PeerRefused, match="a body of over 100 bytes"):
        await kube.list_page("devices", limit=1, continue_token="")


def kubeconfig(folder: Path, url: str) -> Path:
    ca = trustme.CA().cert_pem.bytes()
    path = folder / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        f"clusters: [{{name: k, cluster: {{server: '{url}', "
        f"certificate-authority-data: {base64.b64encode(ca).decode()}}}}}]\n"
        "users: [{name: u, user: {token: t0ken}}]\n"
    )
    return path


async def test_the_kubeconfigs_token_is_sent(api: FakeApi, tmp_path: Path) -> None:
    """Credentials of the file go with every request."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"status": {"allowed": True}})

    api.other = answer
    client = await KubeClient.open(kubeconfig(tmp_path, api.url), "ns", user_agent="test")
    try:
        await client.allowed(Access("list", "devices"))
    finally:
        await client.close()
    assert seen == ["Bearer t0ken"]


async def test_credentials_are_not_left_in_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates and keys of a kubeconfig are on no disk once it is loaded, so a SIGKILL leaves none; twice over."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = kubeconfig(tmp_path, "https://127.0.0.1:1")
    for _ in range(2):
        client = await KubeClient.open(path, "ns", user_agent="test")
        await client.close()
        assert list(scratch.iterdir()) == []


async def test_unusable_tls_material_is_a_setting(tmp_path: Path) -> None:
    """A CA that is none is told with the file's name."""
    path = kubeconfig(tmp_path, "https://127.0.0.1:1")
    text = path.read_text()
    start = text.index("certificate-authority-data: ") + len("certificate-authority-data: ")
    path.write_text(text[:start] + base64.b64encode(b"no PEM").decode() + text[text.index("}", start) :])
    with pytest.raises(SettingsError, match=r"kubeconfig .*config: TLS material is not usable"):
        await KubeClient.open(path, "ns", user_agent="test")
