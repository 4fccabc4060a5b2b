"""`fleet approve-sweep`: shows what waits, asks, and approves exactly what was shown."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet import cli, ends, logs
from fleet.errors import PeerAway, PeerError, PeerRefused
from fleet.kube.client import KubeClient
from fleet.operator import approval
from fleet.operator.sweep import HeldSweep
from fleet.operator.tests.peers import Kube


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    # Structured logs belong to a process of their own; here only what the command prints matters.
    monkeypatch.setattr(logs, "configure", lambda: None)
    return CliRunner()


def words(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("fleet: ")]


HELD = HeldSweep("3f2a9c01b7de", 12, tuple(f"d{n}.web" for n in range(10)), "12 of 40 keys would go")


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> Kube:
    """An API server in memory in which a sweep waits."""
    kube = Kube()
    asyncio.run(approval.ask(kube, HELD))
    kube.calls.clear()

    async def opened(kubeconfig: Path | None, namespace: str, *, user_agent: str) -> Kube:
        assert (kubeconfig, namespace, user_agent) == (None, "fleet", "fleet-approve-sweep")
        kube.namespace = namespace
        return kube

    monkeypatch.setattr(KubeClient, "open", opened)
    return kube


def approve(run: CliRunner, *arguments: str, answer: str = "") -> Result:
    environment: dict[str, str | None] = {"FLEET_NAMESPACE": "fleet", "KUBECONFIG": None}
    return run.invoke(cli.main, ["approve-sweep", *arguments], env=environment, input=answer)


def approved(kube: Kube) -> str | None:
    return kube.config_maps[approval.NAME].get("approved")


SHOWN = """sweep 3f2a9c01b7de: 12 keys would be deleted: 12 of 40 keys would go
  d0.web
  d1.web
  d2.web
  d3.web
  d4.web
  d5.web
  d6.web
  d7.web
  d8.web
  d9.web
  and 2 more
"""


@pytest.mark.rule("B3")
@pytest.mark.parametrize("arguments", [(), (HELD.id,)])
@pytest.mark.parametrize(("answer", "yes"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_sweep_is_shown_and_asked_about(
    run: CliRunner, kube: Kube, arguments: tuple[str, ...], answer: str, *, yes: bool
) -> None:
    """What would be deleted, how much more of it, and why; only a yes approves, and exactly what was shown."""
    result = approve(run, *arguments, answer=answer)
    assert result.exit_code == 0
    assert result.stdout.startswith(SHOWN + "Delete them? [y/N]")
    last = "sweep 3f2a9c01b7de is approved" if yes else "nothing was approved"
    assert result.stdout.splitlines()[-1] == last
    assert approved(kube) == (HELD.id if yes else None)
    assert kube.calls[-1].verb == "close"


@pytest.mark.rule("B3")
def test_yes_with_an_id_asks_nobody(run: CliRunner, kube: Kube) -> None:
    """For scripts, which name what they have seen before."""
    result = approve(run, "--yes", HELD.id)
    assert (result.exit_code, result.stdout) == (0, SHOWN + "sweep 3f2a9c01b7de is approved\n")
    assert approved(kube) == HELD.id


def test_yes_needs_an_id(run: CliRunner, kube: Kube) -> None:
    """Nothing is approved unseen: one line, 2, and nobody was asked anything."""
    result = approve(run, "--yes")
    assert result.exit_code == ends.EXIT_BAD_INPUT
    assert result.stderr == (
        "fleet: --yes approves nothing unseen: name the SWEEP_ID that `fleet approve-sweep` shows\n"
    )
    assert (kube.calls, approved(kube)) == ([], None)


@pytest.mark.rule("B3")
@pytest.mark.parametrize("arguments", [("b7de3f2a9c01",), ("--yes", "b7de3f2a9c01")])
def test_a_sweep_that_does_not_wait_any_more(run: CliRunner, kube: Kube, arguments: tuple[str, ...]) -> None:
    """The set has changed since it was shown: one line that names the one that waits, 2, and nothing is approved."""
    result = approve(run, *arguments, answer="y\n")
    assert result.exit_code == ends.EXIT_BAD_INPUT
    assert words(result) == ["fleet: sweep b7de3f2a9c01 does not wait (any more): the one that waits is 3f2a9c01b7de"]
    assert approved(kube) is None
    assert kube.calls[-1].verb == "close"


@pytest.mark.parametrize("arguments", [(), (HELD.id,), ("--yes", HELD.id)])
def test_nothing_waits(run: CliRunner, kube: Kube, arguments: tuple[str, ...]) -> None:
    """That is said, and it is no failure: a script may come a second time."""
    asyncio.run(approval.ask(kube, None))
    result = approve(run, *arguments)
    assert (result.exit_code, result.stdout) == (0, "nothing waits for approval in namespace fleet\n")
    assert approved(kube) is None


def test_a_sweep_as_json(run: CliRunner, kube: Kube) -> None:
    """What waits, whatever else is given; it approves nothing. `null` if nothing waits."""
    result = approve(run, "--json", "--yes", HELD.id)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "id": HELD.id,
        "count": 12,
        "reason": HELD.reason,
        "examples": list(HELD.examples),
    }
    assert approved(kube) is None
    asyncio.run(approval.ask(kube, None))
    assert approve(run, "--json").stdout == "null\n"


def test_a_small_sweep_has_no_more(run: CliRunner, kube: Kube) -> None:
    """All of its keys are shown."""
    asyncio.run(approval.ask(kube, HeldSweep("1", 1, ("d1.web",), "why")))
    assert approve(run, answer="n\n").stdout.startswith("sweep 1: 1 keys would be deleted: why\n  d1.web\nDelete")


@pytest.mark.parametrize(("error", "code"), [(PeerAway("503"), ends.EXIT_PEER), (PeerRefused("403"), ends.EXIT_PEER)])
def test_an_api_server_that_does_not_answer(run: CliRunner, kube: Kube, error: PeerError, code: int) -> None:
    """One line, 3, and the connection is closed."""
    kube.refuse = lambda _: error
    result = approve(run)
    assert (result.exit_code, words(result)) == (code, [f"fleet: {error}"])
    assert kube.calls[-1].verb == "close"


def test_approve_sweep_needs_a_namespace(run: CliRunner) -> None:
    """There is no default: a wrong one would show that nothing waits."""
    result = run.invoke(cli.main, ["approve-sweep"], env={"FLEET_NAMESPACE": None})
    assert result.exit_code == ends.EXIT_BAD_INPUT
    assert "Missing option '--namespace'" in result.stderr


def test_a_kubeconfig_that_is_not_there(run: CliRunner) -> None:
    """One line, 2."""
    result = approve(run, "--kubeconfig", "/nowhere/config")
    assert (result.exit_code, words(result)) == (
        ends.EXIT_BAD_INPUT,
        ["fleet: KUBECONFIG: /nowhere/config is not a readable file"],
    )
