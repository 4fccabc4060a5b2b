"""Capabilities probed without memory, among programs that behave as a test says."""

from collections.abc import Callable

from harness.capability import (
    Capability,
    ProbeResult,
    probing,
)

FakeProgram = Callable[[str, str], None]
MARK = "FLEETPROOF_PROBE_TEST"


def answer(probe: Callable[[], ProbeResult]) -> ProbeResult:
    """As `probe_all` has it, without its memory."""
    return probing._probe(Capability("probed", "", "", "", probe))
