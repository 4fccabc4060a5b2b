"""What people do with the real kubectl, on a real API server with the real operator: explain, get, wait."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fleet.crds import API_VERSION, DEPLOYMENT, DEVICE
from harness.env import Environment
from harness.toolchain import KUBECTL, Toolchain

DEVICES = ("pi-1", "pi-2", "rack.site-a.pi-3")
COMMAND_WITHIN_S = 30.0

Kubectl = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def kubectl(env: Environment, toolchain: Toolchain, tmp_path: Path) -> Kubectl:
    """Run it as the administrator in the environment's namespace; gives the lines of stdout."""
    program = toolchain.ensure(KUBECTL)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(env.foundation.kube.kubeconfig("admin", namespace=env.namespace))
    # It caches what it discovers under HOME.
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), "PATH": os.environ.get("PATH", os.defpath)}

    async def run(*argv: str, stdin: str = "") -> list[str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            program, *argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(COMMAND_WITHIN_S):
                out, err = await process.communicate(stdin.encode())
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert (process.returncode, err.decode()) == (0, "")
        return out.decode().splitlines()

    return run


def manifest() -> str:
    """One Deployment on every device of group `g`, as a person writes it."""
    devices = [
        f"apiVersion: {API_VERSION}\nkind: Device\nmetadata: {{name: {name}}}\nspec: {{labels: {{group: g}}}}\n"
        for name in DEVICES
    ]
    deployment = f"""\
apiVersion: {API_VERSION}
kind: Deployment
metadata: {{name: web}}
spec:
  targetSelector: {{matchLabels: {{group: g}}}}
  services:
  - {{name: main, image: "registry.example/web:1"}}
"""
    return "---\n".join([*devices, deployment])


async def test_kubectl_shows_and_waits(env: Environment, kubectl: Kubectl) -> None:
    """`apply`, `wait --for=condition=Ready`, `get` by short name and by category: the columns tell what is so."""
    applied = await kubectl("apply", "-f", "-", stdin=manifest())
    assert applied == [
        *(f"device.fleet.fleetproof.dev/{name} created" for name in DEVICES),
        "deployment.fleet.fleetproof.dev/web created",
    ]
    operator = await env.start_operator()
    await operator.wait_converged(30.0)

    assert (await columns(kubectl, "fdeploy"))["web"][:5] == ["3", "0", "3", "0", "False"]
    devices = await env.start_devices(DEVICES)
    waited = await kubectl("wait", "--for=condition=Ready", "fdeploy/web", "--timeout=20s")
    assert waited == ["deployment.fleet.fleetproof.dev/web condition met"]
    await devices.wait_ready()

    shown = await kubectl("get", "fdeploy")
    assert shown[0].split() == ["NAME", "MATCHED", "SUCCEEDED", "PENDING", "FAILED", "READY", "AGE"]
    assert (await columns(kubectl, "fdeploy"))["web"][:5] == ["3", "3", "0", "0", "True"]
    shown = await kubectl("get", "fdev")
    assert shown[0].split() == ["NAME", "BLOCKED", "LABELS", "AGE"]
    assert {name: row[:2] for name, row in (await columns(kubectl, "fdev")).items()} == {
        name: ["false", '{"group":"g"}'] for name in DEVICES
    }
    assert await kubectl("get", "fleet", "-o", "name") == [
        "deployment.fleet.fleetproof.dev/web",
        *(f"device.fleet.fleetproof.dev/{name}" for name in DEVICES),
    ]


async def columns(kubectl: Kubectl, resource: str) -> dict[str, list[str]]:
    """Name -> the other columns."""
    rows = [line.split() for line in await kubectl("get", resource, "--no-headers")]
    return {row[0]: row[1:] for row in rows}


async def test_kubectl_explains_every_field(kubectl: Kubectl) -> None:
    """`explain --recursive` knows the specs, and each field of a service has a description."""
    for resource, field in ((DEPLOYMENT, "targetSelector"), (DEVICE, "labels")):
        text = "\n".join(await kubectl("explain", resource.short_name, "--recursive"))
        assert f"KIND:       {resource.kind}" in text
        assert field in text
    explained = await kubectl("explain", "fdeploy.spec.services")
    fields = explained[explained.index("FIELDS:") + 1 :]
    named = [n for n, line in enumerate(fields) if line.startswith("  ") and not line.startswith("   ")]
    assert {fields[n].split()[0] for n in named} == {"name", "image", "command", "env", "ports", "volumes"}
    for n in named:
        assert fields[n + 1].strip() not in {"", "<no description>"}, fields[n]
