"""The agent as its user has it: the file that `fleet agent build` makes, on a device with podman and a bare Python."""

import json

import pytest

from fleet.wire import Lifecycle, Phase, Service
from harness.env import Environment
from harness.services.agent import start_agent
from harness.services.agent_file import build_agent_file, plain_python
from harness.services.payload_images import image
from scenarios.worlds.agent import wait_reported

VERSION = "1.4.2"
ANSWERS_S = 10.0
APP = "web"
SERVICE = Service("main", image("v1"), ("/bin/payload", "sleep"))


@pytest.mark.needs("podman")
@pytest.mark.rule("A3", "A27", "A31", "A33")
async def test_the_built_file_runs_a_container(env: Environment) -> None:
    """Desired state in, a container and its report out; commands are answered; its end leaves the container alone."""
    file = await build_agent_file(env.folder / "fleet-agent", version=VERSION)
    command = [plain_python(), "-I", str(file), "run"]
    orders = await env.orders()
    await orders.make_buckets()
    device = await env.start_device("edge-1")
    agent = await start_agent(command, device.host, name="edge-1-file-1")
    await orders.put("edge-1", APP, [SERVICE], Lifecycle("SIGTERM", 1))
    report = await wait_reported(env, "edge-1", APP, Phase.RUNNING)
    running = await device.host.podman("ps", "--no-trunc", "--format={{.ID}} {{.Image}} {{.StartedAt}}")
    assert running.split()[:2] == [report.container_ids["main"], image("v1")]

    of_main = {"deployment": APP, "service": "main"}
    assert (await _ask(env, "ping", {}))["agent_version"] == VERSION
    assert await _ask(env, "logs", {**of_main, "tail_lines": 5}) == {"text": "payload v1: sleep\n"}
    said = await _ask(env, "exec", {**of_main, "command": ["/bin/cat", "/proc/1/comm"], "timeout_s": 5})
    assert said == {"exit_code": 0, "output": "payload\n", "truncated": False}

    assert await agent.stop() == 0
    again = await start_agent(command, device.host, name="edge-1-file-2")
    await again.wait_log('"event": ?"nats_connected"', since=0, deadline_s=ANSWERS_S)
    assert await again.stop() == 0
    assert await device.host.podman("ps", "--no-trunc", "--format={{.ID}} {{.Image}} {{.StartedAt}}") == running


async def _ask(env: Environment, verb: str, request: dict[str, object]) -> dict[str, object]:
    """The reply to a command of the device."""
    client = env.witnesses.buckets.client
    reply = await client.request(f"device-cmd.edge-1.{verb}", json.dumps(request).encode(), timeout=ANSWERS_S)
    answer: dict[str, object] = json.loads(reply.data)
    return answer
