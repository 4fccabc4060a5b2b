"""Probe of what judges a systemd unit, also where no systemd runs."""

import tempfile
from pathlib import Path
from typing import Final

from harness.capability.attempt import run
from harness.capability.model import Available, Capability, ProbeResult

_DEADLINE_S: Final = 20.0


def systemd_analyze() -> ProbeResult:
    """It tells the exposure of a unit that it finds in a file."""
    with tempfile.TemporaryDirectory(prefix="fleetproof-probe-") as folder:
        unit = Path(folder) / "probe.service"
        unit.write_text("[Service]\nExecStart=/bin/true\n")
        ended = run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], deadline_s=_DEADLINE_S)
    if ended.code != 0 or "exposure level" not in ended.output:
        return ended.refusal()
    return Available("systemd-analyze judged a unit")


SYSTEMD_ANALYZE: Final = Capability(
    name="systemd-analyze",
    title="systemd judges a unit without running it",
    used_for="how much the agent's unit may do",
    enable="apt-get install systemd",
    probe=systemd_analyze,
)
