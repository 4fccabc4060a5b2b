"""The agent runs on pure Python: what it imports loads no library that has to be compiled, nor the operator's."""

import json
import subprocess
import sys

PARTS = [
    *(f"fleet.agent.{part}" for part in ("inbox", "link", "outbox", "own_key", "pausing", "pulse", "recall", "serve")),
    *(f"fleet.bus.{part}" for part in ("api", "connection", "direct", "entry", "reads", "steady", "writes")),
]
FORBIDDEN = {"aiohttp", "kubernetes", "msgspec", "multidict", "prometheus_client", "pydantic", "yaml"}


def test_no_compiled_library_is_loaded() -> None:
    """The NATS library imports a WebSocket library if it is there: that is stood in for by nothing."""
    program = "\n".join(
        [
            "import json, sys",
            "sys.modules.update(dict.fromkeys(('aiohttp', 'multidict')))",
            *(f"import {part}" for part in PARTS),
            "print(json.dumps([name for name, module in sys.modules.items() if module is not None]))",
        ]
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - ours
    assert ran.returncode == 0, ran.stderr
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert {"fleet", "nats"} <= loaded
    assert not loaded & FORBIDDEN
