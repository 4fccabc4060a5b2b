"""What people do with the real kubectl, on a real API server with the real operator: explain, get, wait."""

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import fleet
from fleet.crds import API_VERSION, DEPLOYMENT, DEVICE
from harness.env import Environment
from harness.toolchain import KUBECTL, Toolchain

DEVICES = ("pi-1", "pi-2", "rack.site-a.pi-3")
COMMAND_WITHIN_S = 30.0
SERVICE_FIELDS = {
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "env",
    "ports",
    "volumes",
    "resources",
    "healthCheck",
}

CORPUS = Path(fleet.__file__).parent / "tests" / "corpus" / "admission"


class RefusedError(Exception):
    """kubectl ended with an error: what it said."""


Kubectl = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def kubectl(env: Environment, toolchain: Toolchain, tmp_path: Path) -> Kubectl:
    """Run it as the administrator in the environment's namespace; gives the lines of stdout, or raises RefusedError."""
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
        if process.returncode:
            raise RefusedError(err.decode())
        assert err == b""
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

    waited = await kubectl("wait", "--for=condition=Ready=false", "fdeploy/web", "--timeout=20s")
    assert waited == ["deployment.fleet.fleetproof.dev/web condition met"]
    assert (await columns(kubectl, "fdeploy"))["web"][:6] == ["3", "0", "3", "0", "0", "False"]
    devices = await env.start_devices(DEVICES)
    waited = await kubectl("wait", "--for=condition=Ready", "fdeploy/web", "--timeout=20s")
    assert waited == ["deployment.fleet.fleetproof.dev/web condition met"]
    await devices.wait_ready()

    shown = await kubectl("get", "fdeploy")
    assert shown[0].split() == ["NAME", "MATCHED", "SUCCEEDED", "PENDING", "FAILED", "STALE", "READY", "AGE"]
    assert (await columns(kubectl, "fdeploy"))["web"][:6] == ["3", "3", "0", "0", "0", "True"]
    shown = await kubectl("get", "fdev")
    assert shown[0].split() == ["NAME", "BLOCKED", "LABELS", "AGE"]
    assert {name: row[:2] for name, row in (await columns(kubectl, "fdev")).items()} == {
        name: ["false", '{"group":"g"}'] for name in DEVICES
    }
    assert await kubectl("get", "fleet", "-o", "name") == [
        "deployment.fleet.fleetproof.dev/web",
        *(f"device.fleet.fleetproof.dev/{name}" for name in DEVICES),
    ]


async def test_kubectl_tries_a_manifest_without_storing_it(kubectl: Kubectl) -> None:
    """`apply --dry-run=server` passes all of admission and leaves nothing."""
    tried = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest())
    assert tried[-1] == "deployment.fleet.fleetproof.dev/web created (server dry run)"
    assert await kubectl("get", "fleet", "-o", "name") == []


async def test_kubectl_says_what_to_change(kubectl: Kubectl, tmp_path: Path) -> None:
    """Bad specs are refused before they are stored, each with the words that its file's first line promises."""
    folder = tmp_path / "bad"
    folder.mkdir()
    bad = sorted(CORPUS.glob("bad-*.yaml"))
    assert len(bad) > 10
    for path in bad:
        shutil.copy(path, folder)
    with pytest.raises(RefusedError) as caught:
        await kubectl("apply", "--dry-run=server", "-f", str(folder))
    refusals = str(caught.value)
    assert refusals.count("Error from server") + refusals.count("error: error validating") == len(bad), refusals
    unsaid = [path.name for path in bad if promised(path) not in refusals]
    assert unsaid == []


def promised(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")


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
    named = {line.split()[0]: n for n, line in enumerate(fields) if re.match(r"  \w+\t", line)}
    assert named.keys() == SERVICE_FIELDS
    for n in named.values():
        described = (line for line in fields[n + 1 :] if not line.startswith("  enum:"))
        assert next(described).strip() not in {"", "<no description>"}, fields[n]
