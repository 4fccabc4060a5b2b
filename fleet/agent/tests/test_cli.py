"""The agent's commands: what went wrong is one line and an exit code; what is printed is what is meant for machines."""

import sys
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from fleet import logs
from fleet.agent import cli
from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.version import agent_version
from fleet.ends import EXIT_BAD_INPUT, EXIT_CRASH, EXIT_PEER
from fleet.errors import ArtifactError, FleetError, PeerRefused
from fleet.settings import AgentSettings

ENVIRONMENT: dict[str, str | None] = {"FLEET_NATS_URL": "nats://u:s3cret@127.0.0.1:1", "FLEET_DEVICE_ID": "edge-1"}


class Agent:
    """Stands in for the real one: it ends as it is told."""

    end: Exception | None = None
    started_with: AgentSettings | None = None

    def __init__(self, settings: AgentSettings) -> None:
        Agent.started_with = settings

    async def run(self) -> None:
        if self.end is not None:
            raise self.end


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> type[Agent]:
    module = ModuleType("fleet.agent.main")
    monkeypatch.setattr(module, "Agent", Agent, raising=False)
    monkeypatch.setitem(sys.modules, "fleet.agent.main", module)
    # Structured logs belong to a process of their own.
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.setattr(Agent, "end", None)
    monkeypatch.setattr(Agent, "started_with", None)
    return Agent


def run(**changes: str | None) -> Result:
    return CliRunner().invoke(cli.main, ["run"], env=ENVIRONMENT | changes)


def test_it_runs(agent: type[Agent]) -> None:
    """With what the environment says; an end in good order says nothing."""
    result = run(FLEET_LABELS="site=hamburg")
    assert (result.exit_code, result.output) == (0, "")
    assert agent.started_with is not None
    assert (agent.started_with.device, dict(agent.started_with.labels)) == ("edge-1", {"site": "hamburg"})


def test_a_bad_setting_is_one_line_and_2(agent: type[Agent]) -> None:
    """Nothing was started."""
    result = run(FLEET_DEVICE_ID=None)
    assert result.exit_code == EXIT_BAD_INPUT
    assert result.stderr == "fleet-agent: FLEET_DEVICE_ID is not set: expected a name that no other device has\n"
    assert agent.started_with is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ArtifactError("/var/lib/fleet-agent: can't be made"), EXIT_BAD_INPUT),
        (PeerRefused("NATS at nats://h:1 refused the credentials"), EXIT_PEER),
        (RuntimeAway("podman at /run/podman/podman.sock does not answer"), EXIT_PEER),
    ],
)
def test_what_explains_itself_is_one_line(agent: type[Agent], error: FleetError, code: int) -> None:
    """What is wrong on this side is 2, what a peer does not do is 3."""
    agent.end = error
    result = run()
    assert (result.exit_code, result.stderr) == (code, f"fleet-agent: {error}\n")


@pytest.mark.rule("A32")
def test_a_crash_is_one_line_and_70(agent: type[Agent]) -> None:
    """What nobody expected, out of a group of loops."""
    agent.end = ExceptionGroup("loops", [ZeroDivisionError("folded\nwrong")])
    result = run()
    assert result.exit_code == EXIT_CRASH
    assert result.stderr == "fleet-agent: crashed: ZeroDivisionError: folded wrong\n"


def test_version_and_help() -> None:
    """The version alone on a line; every command has an example; what only an installation can do is not there."""
    told = CliRunner().invoke(cli.main, ["--version"])
    assert told.stdout == f"fleet-agent, version {agent_version()}\n"
    for command in ([], ["run"], ["unit"]):
        told = CliRunner().invoke(cli.main, [*command, "--help"])
        assert told.exit_code == 0
        assert "Example" in told.stdout

    assert CliRunner().invoke(cli.main, ["build", "--help"]).exit_code == EXIT_BAD_INPUT
