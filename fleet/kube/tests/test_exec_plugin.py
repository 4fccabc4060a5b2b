"""Credentials from a program: when it is run, what becomes of one that misbehaves, and that nothing of it leaks."""

import asyncio
import json
import os
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from fleet.errors import PeerAway, PeerRefused, SettingsError
from fleet.kube import exec_plugin
from fleet.kube.client import Access, KubeClient
from fleet.kube.exec_plugin import ExecLogin, Plugin
from fleet.kube.login import Grant
from fleet.kube.tests.conftest import FakeApi
from fleet.kube.tests.informing import DEADLINE_S
from fleet.kube.tests.test_kubeconfig import Guard, mutual, write

V1 = "client.authentication.k8s.io/v1"
SECRET = "s3cr3t-value"  # noqa: S105 - what must not show
Json = dict[str, object]


class Program:
    """A credential program: prints `output`, after it wrote down that it ran, with what it was told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "plugin"
        self._output = folder / "output"
        self._runs = folder / "runs"
        self._runs.touch()
        self.write(f'cat "{self._output}"')

    def write(self, script: str) -> None:
        self.path.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> "{self._runs}"\n{script}\n')
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def gives(self, **status: object) -> None:
        credential = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
        self._output.write_text(json.dumps(credential))

    def gives_token(self, token: str, **status: object) -> None:
        self.gives(token=token, **status)

    def gives_text(self, text: str) -> None:
        self._output.write_text(text)

    @property
    def runs(self) -> list[Json]:
        return [json.loads(line) for line in self._runs.read_text().splitlines()]

    def plugin(self, **more: object) -> Plugin:
        config = {"command": str(self.path), "apiVersion": V1, "args": ["--key", SECRET]} | more
        return Plugin.parse(config, folder=self.path.parent, cluster={"server": "https://k"})

    def login(self, **more: object) -> ExecLogin:
        return ExecLogin(self.plugin(**more), ssl.create_default_context)


def prints_token(token: str) -> str:
    """A shell's command; `token` may hold what the shell expands."""
    credential = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token}})
    return "echo " + '"' + credential.replace('"', '\\"') + '"'


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


class Clock:
    def __init__(self) -> None:
        self.now_s = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def time(self) -> float:
        return self.now_s

    def after(self, seconds: float) -> str:
        return (datetime.fromtimestamp(self.now_s, UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(exec_plugin, "time", made)
    return made


def sent(grant: Grant | None) -> str | None:
    assert grant is not None
    return grant.authorization


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


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (SECRET, "its output is no ExecCredential"),
        pytest.param('{"deep":' + "[" * 100_000, "its output is no ExecCredential", id="too-deep"),
        (json.dumps({"apiVersion": V1, "kind": "X", "status": {"token": SECRET}}), "no ExecCredential of"),
        (json.dumps({"apiVersion": V1 + "beta1", "kind": "ExecCredential", "status": {"token": SECRET}}), "of client"),
        (json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": 7}}), "is no ExecCredential"),
        (json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {}}), "neither a token nor a certificate"),
        (
            json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": f"{SECRET}\n{SECRET}"}}),
            "holds no token",
        ),
        (
            json.dumps(
                {
                    "apiVersion": V1,
                    "kind": "ExecCredential",
                    "status": {"clientCertificateData": SECRET, "clientKeyData": SECRET},
                }
            ),
            "its certificate and key are not usable",
        ),
        ("x" * 2_000_000, "its output is of over 1048576 bytes"),
    ],
)
async def test_output_that_is_no_credential(program: Program, output: str, reason: str) -> None:
    """Trouble of a peer: it may be right the next time. Nothing of the output is shown."""
    program.gives_text(output)
    with pytest.raises(PeerAway, match="exec plugin plugin: ") as error:
        await program.login().grant()
    assert reason in str(error.value)
    assert SECRET not in str(error.value)
    assert SECRET not in repr(error.value.__cause__)


async def test_a_program_that_fails(program: Program) -> None:
    """Its exit code is told, and what it wrote to either stream is not."""
    program.write(f"echo {SECRET}; echo {SECRET} >&2; exit 3")
    with pytest.raises(PeerAway) as error:
        await program.login().grant()
    assert str(error.value) == "exec plugin plugin: exit code 3; run it by hand to see why"


async def test_a_program_that_is_gone(program: Program) -> None:
    """Removed while we run: away, and tried again."""
    login = program.login()
    program.path.unlink()
    with pytest.raises(PeerAway, match="exec plugin plugin: cannot be run: No such file or directory"):
        await login.grant()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that its new parent has not reaped yet is gone, too.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - another process's doing, which sends us no event
            await asyncio.sleep(0.01)


HANGS = 'sh -c "echo \\$\\$ > {pids}; exec sleep 1000" & wait'


async def test_a_program_that_hangs_is_killed(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its deadline, with its children; the event loop goes on meanwhile."""
    pids = tmp_path / "pids"
    program.write(HANGS.format(pids=pids))
    monkeypatch.setattr(exec_plugin, "_DEADLINE_S", 0.5)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(others())
    try:
        with pytest.raises(PeerAway, match=r"did not end within 0\.5 s"):
            await program.login().grant()
    finally:
        task.cancel()
    assert turns > 10
    await eventually(lambda: gone(int(pids.read_text())))


async def test_a_child_that_keeps_the_output_open_is_not_waited_for(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that left a daemon behind, in a session of its own, with its output: given up after the deadline."""
    monkeypatch.setattr(exec_plugin, "_DEADLINE_S", 0.5)
    program.write("setsid sleep 2 & exit 0")
    async with asyncio.timeout(3):
        with pytest.raises(PeerAway, match=r"did not end within 0\.5 s"):
            await program.login().grant()


async def test_a_cancelled_request_leaves_no_program_behind(program: Program, tmp_path: Path) -> None:
    """A refresh or the end of the operator takes the program with it."""
    pids = tmp_path / "pids"
    program.write(HANGS.format(pids=pids))
    task = asyncio.create_task(program.login().grant())
    await eventually(lambda: pids.is_file() and bool(pids.read_text().strip()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: gone(int(pids.read_text())))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "apiVersion must be one of"),
        ({"interactiveMode": "Always"}, "it wants a terminal"),
        ({"command": "no-such-program", "installHint": "get it\nthere"}, "not found: get it there"),
        ({"command": "./no-such-program"}, "exec plugin no-such-program: not found"),
        ({"args": SECRET}, "Expected `array | null`, got `str`"),
        ({"command": 7}, "Expected `str`, got `int`"),
    ],
)
def test_a_plugin_that_cannot_work_is_a_setting(program: Program, more: Json, reason: str) -> None:
    """It is told at the start, with what is wrong and without what it was given."""
    with pytest.raises(SettingsError) as error:
        program.plugin(**more)
    assert reason in str(error.value)
    assert SECRET not in str(error.value)


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
