"""The `fleet` command: what went wrong is one line on stderr and an exit code; secrets are never shown."""

import socket
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fleet import cli, ends, logs
from fleet.kube.client import KubeClient
from fleet.operator.main import Operator
from fleet.operator.tests.peers import Kube

ENVIRONMENT: dict[str, str | None] = {
    "FLEET_NATS_URL": "nats://op:s3cret@127.0.0.1:1",
    "FLEET_NAMESPACE": "fleet",
    "FLEET_HTTP_ADDR": "127.0.0.1:0",
    "FLEET_START_TIMEOUT_S": "0.2",
    "KUBECONFIG": None,
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    # Structured logs belong to a process of their own; here only what the command prints matters.
    monkeypatch.setattr(logs, "configure", lambda: None)
    return CliRunner()


def operator(run: CliRunner, **changes: str | None) -> Result:
    return run.invoke(cli.main, ["operator"], env=ENVIRONMENT | changes)


def words(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("fleet: ")]


def test_a_missing_setting_is_one_line_and_2(run: CliRunner) -> None:
    """Bad input ends before anything was started."""
    result = operator(run, FLEET_NATS_URL=None)
    assert result.exit_code == ends.EXIT_BAD_INPUT
    assert result.stderr == "fleet: FLEET_NATS_URL is not set: expected nats://HOST:PORT\n"


def test_an_occupied_port_is_one_line_and_2(run: CliRunner) -> None:
    """The address is named, with what the system says about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = operator(run, FLEET_HTTP_ADDR=f"127.0.0.1:{port}")
    assert result.exit_code == ends.EXIT_BAD_INPUT
    (line,) = words(result)
    assert line.startswith(f"fleet: FLEET_HTTP_ADDR: cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in line


@pytest.mark.parametrize(
    "text", ["", "not: [yaml", "just text", "apiVersion: v1\nkind: Config\n", "\x00\x01", "contexts: 3\n"]
)
def test_a_garbage_kubeconfig_is_one_line_and_2(run: CliRunner, tmp_path: Path, text: str) -> None:
    """Whatever the file holds, the line names it."""
    path = tmp_path / "config"
    path.write_text(text)
    result = operator(run, KUBECONFIG=str(path))
    assert result.exit_code == ends.EXIT_BAD_INPUT
    (line,) = words(result)
    assert line.startswith(f"fleet: kubeconfig {path}: ")


def test_outside_of_a_cluster_it_asks_for_a_kubeconfig(run: CliRunner) -> None:
    """Neither a kubeconfig nor a pod: the line says what to set."""
    result = operator(run, KUBERNETES_SERVICE_HOST=None, KUBERNETES_SERVICE_PORT=None)
    assert result.exit_code == ends.EXIT_BAD_INPUT
    (line,) = words(result)
    assert "set KUBECONFIG to a readable kubeconfig file" in line


def config(server: str, user: dict[str, str] | None = None) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user or {}}],
        }
    )


def test_a_nats_that_is_not_there_is_one_line_and_3(run: CliRunner, tmp_path: Path) -> None:
    """The address without its credentials, how long it was tried, and what to check."""
    path = tmp_path / "config"
    path.write_text(config("http://127.0.0.1:1", {"token": "t0ken"}))
    result = operator(run, KUBECONFIG=str(path))
    assert result.exit_code == ends.EXIT_PEER
    (line,) = words(result)
    assert line.startswith("fleet: NATS at nats://127.0.0.1:1 did not answer within 0.2 s: ")
    assert "s3cret" not in result.output
    assert "t0ken" not in result.output


def test_a_crash_is_one_line_and_70(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception inside nested task groups is named itself, not as a group."""

    async def crash(_: Operator) -> None:
        inner = ExceptionGroup("unhandled errors in a TaskGroup", [ZeroDivisionError("folded\nwrong")])
        raise ExceptionGroup("unhandled errors in a TaskGroup", [inner])

    monkeypatch.setattr(Operator, "run", crash)
    result = operator(run)
    assert result.exit_code == ends.EXIT_CRASH
    assert words(result) == ["fleet: crashed: ZeroDivisionError: folded wrong"]


def test_a_crash_at_the_start_is_one_line_and_70(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no loop caught and nobody expected ends with the same kind of line, and no traceback of its own."""

    async def crash(_: Operator) -> None:
        raise ZeroDivisionError("before any loop")

    monkeypatch.setattr(Operator, "run", crash)
    result = operator(run)
    assert result.exit_code == ends.EXIT_CRASH
    assert words(result) == ["fleet: crashed: ZeroDivisionError: before any loop"]


def test_crds_are_printed(run: CliRunner) -> None:
    """`fleet crds` prints what kubectl applies."""
    result = run.invoke(cli.main, ["crds"])
    assert result.exit_code == 0
    assert [d["kind"] for d in yaml.safe_load_all(result.stdout)] == ["CustomResourceDefinition"] * 2


def test_crds_are_applied(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by server-side apply at its own path, as ours, and said."""
    kube = Kube()
    applied: list[tuple[str, str]] = []

    async def opened(kubeconfig: Path | None, namespace: str, *, user_agent: str) -> Kube:
        assert (kubeconfig, namespace, user_agent) == (None, "default", "fleet-crds")
        return kube

    async def apply(path: str, manifest: dict[str, object], *, field_manager: str) -> None:
        applied.append((path.rpartition("/")[2], field_manager))
        assert manifest["kind"] == "CustomResourceDefinition"

    monkeypatch.setattr(KubeClient, "open", opened)
    monkeypatch.setattr(kube, "apply", apply)
    result = run.invoke(cli.main, ["crds", "--apply"], env={"KUBECONFIG": None})
    names = ["deployments.fleet.fleetproof.dev", "devices.fleet.fleetproof.dev"]
    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"{name} applied" for name in names])
    assert applied == [(name, "fleet") for name in names]
    assert kube.calls[-1].verb == "close"


def test_crds_need_a_server_to_be_applied(run: CliRunner, tmp_path: Path) -> None:
    """Without an API server: one line, 3."""
    path = tmp_path / "config"
    path.write_text(config("http://127.0.0.1:1"))
    result = run.invoke(cli.main, ["crds", "--apply", "--kubeconfig", str(path)])
    assert result.exit_code == ends.EXIT_PEER
    (line,) = words(result)
    assert "127.0.0.1:1" in line


@pytest.mark.parametrize("server", ["", "not a url", "ftp://h"])
def test_a_server_that_is_no_url_is_said(run: CliRunner, tmp_path: Path, server: str) -> None:
    """A kubeconfig whose server is no URL is refused at once."""
    path = tmp_path / "config"
    path.write_text(config(server))
    result = run.invoke(cli.main, ["crds", "--apply", "--kubeconfig", str(path)])
    assert result.exit_code == ends.EXIT_PEER
    (line,) = words(result)
    assert "is not the URL of an API server" in line


def test_the_agent_is_a_group_of_its_own(run: CliRunner) -> None:
    """Here it can be made, too; what it lacks to run is said by the agent itself."""
    told = run.invoke(cli.main, ["agent", "--help"])
    assert told.exit_code == 0
    assert all(f"\n  {command} " in told.stdout for command in ("build", "run", "unit"))
    assert run.invoke(cli.main, ["agent", "unit"]).stdout.count("[Unit]\n") == 1
