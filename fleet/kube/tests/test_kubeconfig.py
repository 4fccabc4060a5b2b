"""From a kubeconfig or a pod to requests: what is sent, what is refused, and that no secret shows."""

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from kubernetes.aio.config import incluster_config

from fleet.errors import PeerAway, PeerRefused, SettingsError
from fleet.kube import login
from fleet.kube.client import Access, KubeClient
from fleet.kube.tests.conftest import FakeApi, status

LIST_DEVICES = Access("list", "devices")
Json = dict[str, object]


def write(folder: Path, url: str, user: Json, **cluster: object) -> Path:
    """Write a kubeconfig of one context. JSON, which is YAML too."""
    ca = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": url, "certificate-authority-data": ca} | cluster}],
        "users": [{"name": "other", "user": {"token": "wrong"}}, {"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    return path


class Guard:
    """An API server that takes only the headers in `good`, and writes down those that it was sent."""

    def __init__(self, api: FakeApi, *good: str) -> None:
        self.good = set(good)
        self.seen: list[str] = []
        api.other = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers.get("Authorization", ""))
        if self.seen[-1] not in self.good:
            return status(401, "Unauthorized")
        return web.json_response({"status": {"allowed": True}})


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[KubeClient]:
    client = await KubeClient.open(path, "ns", user_agent="test")
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"token": "t0ken\n"}, "Bearer t0ken"),
        ({"username": "me", "password": "pw"}, "Basic bWU6cHc="),
        ({}, ""),
    ],
)
async def test_a_users_credentials_are_sent(api: FakeApi, tmp_path: Path, user: Json, sent: str) -> None:
    """Those of the current context go with every request."""
    guard = Guard(api, sent)
    async with opened(write(tmp_path, api.url, user)) as kube:
        assert await kube.allowed(LIST_DEVICES)
    assert guard.seen == [sent]


async def test_a_token_that_was_edited_is_taken_after_a_401(api: FakeApi, tmp_path: Path) -> None:
    """The file is read again when the server refuses what it held, and the request is made once more."""
    guard = Guard(api, "Bearer new")
    path = write(tmp_path, api.url, {"token": "old"})
    async with opened(path) as kube:
        write(tmp_path, api.url, {"token": "new"})
        assert await kube.allowed(LIST_DEVICES)
        assert await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer old", "Bearer new", "Bearer new"]


@pytest.mark.parametrize("text", [None, "", "{", "[1]"])
async def test_a_401_stands_if_there_is_nothing_else_to_send(api: FakeApi, tmp_path: Path, text: str | None) -> None:
    """The same token again, or a file that cannot be read now: refused, without another request."""
    guard = Guard(api)
    path = write(tmp_path, api.url, {"token": "old"})
    async with opened(path) as kube:
        if text is not None:
            path.write_text(text)
        with pytest.raises(PeerRefused, match="401 Unauthorized"):
            await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer old"]


async def test_a_token_file_is_relative_to_the_kubeconfig(api: FakeApi, tmp_path: Path) -> None:
    """And it outranks a token that stands beside it."""
    guard = Guard(api, "Bearer filed")
    (tmp_path / "token").write_text("filed\n")
    async with opened(write(tmp_path, api.url, {"tokenFile": "token", "token": "inline"})) as kube:
        assert await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer filed"]


async def test_a_token_file_is_read_again_after_a_401(api: FakeApi, tmp_path: Path) -> None:
    """A token that was rotated too late to be noticed costs one request."""
    guard = Guard(api, "Bearer one", "Bearer two")
    token = tmp_path / "token"
    token.write_text("one")
    async with opened(write(tmp_path, api.url, {"tokenFile": str(token)})) as kube:
        await kube.allowed(LIST_DEVICES)
        token.write_text("two")
        guard.good = {"Bearer two"}
        await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_token_file_is_read_again_from_time_to_time(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the server has to refuse anything; while it cannot be read, what it held before is sent."""
    monkeypatch.setattr(login, "_FILE_TRUSTED_S", 0)
    guard = Guard(api, "Bearer one", "Bearer two")
    token = tmp_path / "token"
    token.write_text("one")
    async with opened(write(tmp_path, api.url, {"tokenFile": str(token)})) as kube:
        await kube.allowed(LIST_DEVICES)
        token.write_text("two")
        await kube.allowed(LIST_DEVICES)
        token.unlink()
        await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer one", "Bearer two", "Bearer two"]


@pytest.mark.parametrize("content", [None, b"", b"two words", b"caf\xc3\xa9", b"\xff"])
async def test_a_token_file_without_a_token_is_away(api: FakeApi, tmp_path: Path, content: bytes | None) -> None:
    """Whoever writes it may do so in a moment: it is waited for, and its content is not shown."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    async with opened(write(tmp_path, api.url, {"tokenFile": str(token)})) as kube:
        with pytest.raises(PeerAway, match=r"token file .*token: (holds no token|No such file)") as error:
            await kube.allowed(LIST_DEVICES)
    assert "words" not in str(error.value)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod finds: the API server's address, its CA and a token. Returns the token's file."""
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    token = tmp_path / "token"
    token.write_text("one")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    return token


async def test_a_pods_token_is_followed(api: FakeApi, pod: Path) -> None:
    """In a pod the kubelet rotates the token's file; a 401 is answered with what it holds now."""
    guard = Guard(api, "Bearer two")
    async with opened(None) as kube:
        assert kube.server == "https://127.0.0.1:1"
        # The file's token is what is tested; the server here speaks no TLS.
        kube._transport.server = api.url
        pod.write_text("two\n")  # noqa: ASYNC240 - a few bytes
        await kube.allowed(LIST_DEVICES)
        pod.write_text("three")  # noqa: ASYNC240 - likewise
        guard.good = {"Bearer three"}
        await kube.allowed(LIST_DEVICES)
    assert guard.seen == ["Bearer two", "Bearer two", "Bearer three"]


async def test_outside_of_a_cluster_without_a_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says both, and what to do."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match=r"no kubeconfig and not in a cluster: .*; set KUBECONFIG"):
        await KubeClient.open(None, "ns", user_agent="test")


@asynccontextmanager
async def mutual(ca: trustme.CA) -> AsyncIterator[tuple[str, list[str]]]:
    """An API server that asks for a client certificate of `ca`; its URL, and the names in what it was shown."""
    shown: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport else None
        names = [name for _, name in (certificate or {}).get("subjectAltName", ())]
        shown.append(",".join(names))
        if names == ["revoked"]:
            return status(401, "Unauthorized")
        return web.json_response({"status": {"allowed": True}})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", shown
    finally:
        await runner.cleanup()


def certificate_files(folder: Path, ca: trustme.CA, name: str) -> None:
    issued = ca.issue_cert(name)
    (folder / "tls.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "tls.key").write_bytes(issued.private_key_pem.bytes())


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """From files beside the kubeconfig; one that was rotated is read again after a 401."""
    ca = trustme.CA()
    (tmp_path / "ca.crt").write_bytes(ca.cert_pem.bytes())
    async with mutual(ca) as (url, shown):
        certificate_files(tmp_path, ca, "revoked")
        path = write(tmp_path, url, {"client-certificate": "tls.crt", "client-key": "tls.key"})
        config = json.loads(path.read_text())
        config["clusters"][0]["cluster"] = {"server": url, "certificate-authority": "ca.crt"}
        path.write_text(json.dumps(config))
        async with opened(path) as kube:
            with pytest.raises(PeerRefused):
                await kube.allowed(LIST_DEVICES)
            certificate_files(tmp_path, ca, "me")
            assert await kube.allowed(LIST_DEVICES)
    assert shown == ["revoked", "revoked", "me"]


async def test_an_unknown_server_is_refused(tmp_path: Path) -> None:
    """A certificate of another CA is a definite no, with its reason."""
    ca = trustme.CA()
    async with mutual(ca) as (url, shown):
        async with opened(write(tmp_path, url, {"token": "t0ken"})) as kube:
            with pytest.raises(PeerRefused, match="its certificate is not trusted"):
                await kube.allowed(LIST_DEVICES)
        assert not shown


async def test_credentials_are_not_left_in_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates and keys of a kubeconfig are on no disk once it is loaded, so a SIGKILL leaves none; twice over."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    issued = trustme.CA().issue_cert("me")
    user: Json = {
        "client-certificate-data": base64.b64encode(issued.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(issued.private_key_pem.bytes()).decode(),
    }
    path = write(tmp_path, "https://127.0.0.1:1", user)
    for _ in range(2):
        async with opened(path):
            assert list(scratch.iterdir()) == []


SECRET = "s3cr3t-value"  # noqa: S105 - what must not show


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Invalid kube-config file"),
        ("[]", "Invalid kube-config file"),
        (f"\ntoken: {SECRET}, x: y", "not usable: ScannerError in line 2"),
        (f"users:\n  - {SECRET}\n {{", "not usable: ParserError in line"),
        (f"- {SECRET}", "Invalid kube-config file"),
        (f"current-context: {{{SECRET}: 1}}\ncontexts: 7", "not usable: AttributeError"),
        ("current-context: gone\ncontexts: []", "Expected object with name gone"),
    ],
)
async def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str, reason: str) -> None:
    """One line with the file's name and the place, and nothing of its content."""
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        await KubeClient.open(path, "ns", user_agent="test")
    assert str(error.value).startswith(f"kubeconfig {path}: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("user", "cluster", "reason"),
    [
        ({"token": f"{SECRET}\x00"}, {}, "the user's token: it holds characters that no token has"),
        ({"token": SECRET}, {"server": f"https://me:{SECRET}@h"}, "the cluster's server: its URL holds a user name"),
        ({}, {"proxy-url": f"http://me:{SECRET}@proxy:1"}, "the cluster's proxy-url: expected http://HOST:PORT"),
        ({}, {"proxy-url": "socks5://proxy:1"}, "the cluster's proxy-url: expected http://HOST:PORT"),
        ({"client-certificate-data": "a"}, {}, "not usable: Error"),
        ({"client-certificate": "gone"}, {}, "File does not exists"),
        ({}, {"certificate-authority-data": base64.b64encode(b"no PEM").decode()}, "TLS material is not usable"),
        ({"exec": {"command": SECRET}}, {}, "exec plugin: Object missing required field `apiVersion`"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, user: Json, cluster: Json, reason: str) -> None:
    """The one line names the file and the entry, never a secret."""
    path = write(tmp_path, "https://127.0.0.1:1", user, **cluster)
    with pytest.raises(SettingsError) as error:
        await KubeClient.open(path, "ns", user_agent="test")
    assert str(error.value).startswith(f"kubeconfig {path}: ")
    assert reason in str(error.value)
    assert SECRET not in str(error.value)
