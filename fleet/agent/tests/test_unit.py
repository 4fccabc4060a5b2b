"""The systemd unit: what it takes away from the agent, judged by systemd itself."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleet.agent import cli

needs_systemd = pytest.mark.needs("systemd-analyze")
# Of 10. What is left is the agent's work: root's socket, the network, one port capability.
EXPOSURE_MAX = 2.0


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    printed = CliRunner().invoke(cli.main, ["unit"])
    assert printed.exit_code == 0
    path = tmp_path / "fleet-agent.service"
    path.write_bytes(printed.stdout_bytes)
    return path


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(  # noqa: S603 - its own arguments
        ["systemd-analyze", *arguments],  # noqa: S607 - of the PATH
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def test_what_others_rely_on(unit: Path) -> None:
    """It is restarted for ever, watched, told of readiness, and may write in one folder only."""
    lines = unit.read_text().splitlines()
    for line in (
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "WatchdogSec=60",
        "EnvironmentFile=/etc/fleet-agent.env",
        "ExecStart=/usr/local/bin/fleet-agent run",
        "After=podman.socket",
        "StateDirectory=fleet-agent",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("ReadWritePaths=", "AmbientCapabilities="))]


@needs_systemd
def test_its_exposure(unit: Path) -> None:
    """By systemd's own scale."""
    told = analyze("security", "--offline=true", "--no-pager", unit)
    level = re.search(r"Overall exposure level for fleet-agent\.service: ([0-9.]+)", told)
    assert level is not None, told
    assert float(level[1]) <= EXPOSURE_MAX, told


@needs_systemd
def test_systemd_understands_it(unit: Path) -> None:
    """No unknown or misspelt setting: the one complaint is that the agent is not installed on this machine."""
    told = [line for line in analyze("verify", "--man=no", unit).splitlines() if "fleet-agent.service" in line]
    assert [line for line in told if "/usr/local/bin/fleet-agent is not executable" not in line] == []
