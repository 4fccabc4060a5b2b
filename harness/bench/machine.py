"""What a figure was measured on."""

import os
import platform
from importlib import metadata

from harness.history.records import Json


def machine() -> Json:
    return {
        "cpus": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nats-py": metadata.version("nats-py"),
        "kubernetes": metadata.version("kubernetes"),
        "fleetproof": metadata.version("fleetproof"),
    }
