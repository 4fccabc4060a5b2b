"""Credentials from a program: when it is run, what it is told, and that nothing of it leaks."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from fleet.errors import PeerAway, PeerRefused
from fleet.kube.client import Access, KubeClient
from fleet.kube.exec_plugin import ExecLogin
from fleet.kube.login import Grant
from fleet.kube.tests.conftest import FakeApi
from fleet.kube.tests.credentials import SECRET, V1, Clock, Json, Program, sent
from fleet.kube.tests.test_kubeconfig import Guard, mutual, write


def prints_token(token: str) -> str:
    """A shell's command; `token` may hold what the shell expands."""
    credential = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token}})
    return "echo " + '"' + credential.replace('"', '\\"') + '"'


@asynccontextmanager
async def opened(folder: Path, url: str, program: Program, **more: object) -> AsyncIterator[KubeClient]:
    user: Json = {"exec": {"command": "./plugin", "apiVersion": V1} | more}
    path = write(folder, url, user)
    assert program.path.parent == folder
    client = await KubeClient.open(path, "ns", user_agent="test")
    try:
        yield client
    finally:
        await client.close()


async def test_it_runs_once_for_many_requests(program: Program) -> None:
    """A token without an end is kept; requests that come meanwhile wait for the one run."""
    program.gives_token("one")
    login = program.login()
    grants = await asyncio.gather(*(login.grant() for _ in range(10)))
    assert {sent(grant) for grant in grants} == {"Bearer one"}
    assert program.runs == [{"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}]


@pytest.mark.parametrize(("lives_s", "renewed_after_s"), [(3600, 3540), (100, 90)])
async def test_it_runs_again_before_the_end(
    program: Program, clock: Clock, lives_s: float, renewed_after_s: float
) -> None:
    """A minute before what it gave expires, or after nine tenths of a shorter life."""
    program.gives_token("one", expirationTimestamp=clock.after(lives_s))
    login = program.login()
    await login.grant()
    program.gives_token("two", expirationTimestamp=clock.after(2 * lives_s))
    clock.now_s += renewed_after_s - 1
    assert sent(await login.grant()) == "Bearer one"
    clock.now_s += 2
    assert sent(await login.grant()) == "Bearer two"
    assert len(program.runs) == 2


async def test_a_failure_before_the_end_is_not_felt(program: Program, clock: Clock) -> None:
    """What it gave before holds until it expires; then it is missed. Until then it is not run for every request."""
    program.gives_token("one", expirationTimestamp=clock.after(600))
    login = program.login()
    await login.grant()
    program.gives_text("")
    clock.now_s += 560
    for _ in range(3):
        assert sent(await login.grant()) == "Bearer one"
    assert len(program.runs) == 2
    clock.now_s += 41
    with pytest.raises(PeerAway):
        await login.grant()


async def test_what_has_expired_already_does_not_run_it_for_every_request(program: Program, clock: Clock) -> None:
    """A program behind its time is run every few seconds, no more: the server may have another clock."""
    program.gives_token("one", expirationTimestamp=clock.after(-10))
    login = program.login()
    for _ in range(3):
        assert sent(await login.grant()) == "Bearer one"
    assert len(program.runs) == 1


async def test_a_refused_token_is_renewed_once(program: Program) -> None:
    """Many requests refused alike share one run; a second refusal of the same text has nothing more to offer."""
    program.gives_token("one")
    login = program.login()
    refused = await login.grant()
    program.gives_token("two")
    grants = await asyncio.gather(*(login.renewed(refused) for _ in range(5)))
    assert {sent(grant) for grant in grants} == {"Bearer two"}
    assert len(program.runs) == 2
    assert await login.renewed(await login.grant()) is None


async def test_a_401_is_met_with_a_new_token(api: FakeApi, tmp_path: Path, program: Program) -> None:
    """Once per request: the one after that has the new token from the start."""
    guard = Guard(api, "Bearer two")
    program.gives_token("one")
    async with opened(tmp_path, api.url, program) as kube:
        with pytest.raises(PeerRefused, match="401 Unauthorized"):
            await kube.allowed(Access("list", "devices"))
        program.gives_token("two")
        for _ in range(2):
            assert await kube.allowed(Access("list", "devices"))
    assert guard.seen == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
    # At the first request, and after each of the two refusals.
    assert len(program.runs) == 3


async def test_two_401_in_a_row_are_a_refusal(api: FakeApi, tmp_path: Path, program: Program) -> None:
    """A server that refuses the new token too is not asked a third time."""
    guard = Guard(api)
    program.write(prints_token("t$$"))
    async with opened(tmp_path, api.url, program) as kube:
        with pytest.raises(PeerRefused, match="401 Unauthorized"):
            await kube.allowed(Access("list", "devices"))
    assert len(guard.seen) == len(set(guard.seen)) == 2


async def test_a_certificate_from_a_program_is_shown(tmp_path: Path, program: Program) -> None:
    """It goes from the program's output into TLS, and after a 401 the next one does; both are on no disk."""
    ca = trustme.CA()

    def gives(name: str) -> None:
        issued = ca.issue_cert(name)
        certificate, key = issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()
        program.gives(clientCertificateData=certificate, clientKeyData=key)

    async with mutual(ca) as (url, shown):
        gives("revoked")
        async with opened(tmp_path, url, program) as kube:
            # The kubeconfig's own CA is another one.
            login = kube._transport._login
            assert isinstance(login, ExecLogin)
            login._make_tls = lambda: ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())
            with pytest.raises(PeerRefused):
                await kube.allowed(Access("list", "devices"))
            gives("me")
            assert await kube.allowed(Access("list", "devices"))
    assert shown == ["revoked", "revoked", "me"]


async def test_it_is_told_of_the_cluster_if_it_asks(program: Program) -> None:
    """The server and its CA, as kubectl would."""
    program.gives_token("one")
    await program.login(provideClusterInfo=True).grant()
    assert program.runs[0]["spec"] == {"interactive": False, "cluster": {"server": "https://k"}}


async def test_it_gets_its_environment(program: Program) -> None:
    """What the kubeconfig sets, on top of our own."""
    program.write(prints_token("$PROFILE"))
    login = program.login(env=[{"name": "PROFILE", "value": "prod"}])
    assert sent(await login.grant()) == "Bearer prod"


def test_nothing_secret_in_a_repr(program: Program) -> None:
    """A grant or a plugin in a traceback shows neither token nor arguments."""
    grant = Grant(f"Bearer {SECRET}", ssl.create_default_context(), SECRET)
    plugin = program.plugin(env=[{"name": "X", "value": SECRET}])
    assert SECRET not in repr((grant, plugin))


async def test_a_program_on_the_path(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a slash is looked up as a shell would."""
    program.gives_token("one")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert sent(await program.login(command="plugin").grant()) == "Bearer one"
