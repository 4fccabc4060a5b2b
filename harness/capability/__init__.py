"""What this machine can do, found by doing it: a capability is a row of data with a probe.

A skip carries the probe's typed reason; `fleetproof doctor` shows all rows and how to enable what is missing.
"""

from harness.capability.model import Available, Capability, ProbeResult, Reason, Unavailable
from harness.capability.probing import CAPABILITIES, capability_named, probe_all

__all__ = [
    "CAPABILITIES",
    "Available",
    "Capability",
    "ProbeResult",
    "Reason",
    "Unavailable",
    "capability_named",
    "probe_all",
]
