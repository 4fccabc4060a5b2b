"""What the API server itself refuses, on a real one: the corpus of good and bad specs, and how the CRDs get there."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

import fleet
from fleet.crds import DEPLOYMENT, DEVICE
from harness.env import Foundation
from harness.history.records import Json
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin, KubeApiError, resource_path
from harness.services.nats import NatsServer
from harness.services.ports import HOST
from harness.services.warden import Warden
from harness.toolchain import ETCD, KUBE_APISERVER, NATS_SERVER, Toolchain

CORPUS = Path(fleet.__file__).parent / "tests" / "corpus" / "admission"
PLURALS = {kind.kind: kind.plural for kind in (DEPLOYMENT, DEVICE)}
COMMAND_WITHIN_S = 60.0


@pytest.fixture(scope="module")
async def namespace(foundation: Foundation) -> AsyncIterator[str]:
    name = f"admission-{secrets.token_hex(4)}"
    await foundation.admin.create_namespace(name)
    yield name
    await foundation.admin.delete_namespace(name)


def corpus_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def create_dry(admin: KubeAdmin, namespace: str, text: str) -> object:
    """As `kubectl create --dry-run=server`: all of admission, and nothing stored."""
    body: Json = yaml.safe_load(text)
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    return await admin.request("POST", resource_path(PLURALS[str(body["kind"])], namespace), body=body, params=params)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("good-*.yaml")), ids=lambda path: path.stem)
async def test_good_spec_is_admitted(path: Path, foundation: Foundation, namespace: str) -> None:
    """The schema and its rules let it in, whatever its size."""
    assert await create_dry(foundation.admin, namespace, corpus_text(path))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("bad-*.yaml")), ids=lambda path: path.stem)
async def test_bad_spec_is_refused_with_its_reason(path: Path, foundation: Foundation, namespace: str) -> None:
    """422 (400 where it is no value of the type at all), and the words that the file's first line promises."""
    text = corpus_text(path)
    promised = text.splitlines()[0].removeprefix("# refused: ")
    with pytest.raises(KubeApiError) as caught:
        await create_dry(foundation.admin, namespace, text)
    assert caught.value.status in (400, 422)
    assert promised in str(caught.value)


@pytest.fixture
async def bare(toolchain: Toolchain, warden: Warden) -> AsyncIterator[KubeCluster]:
    """An API server that nobody has touched."""
    folder = warden.temp_folder("fleetproof-bare-")
    etcd, apiserver = toolchain.ensure(ETCD), toolchain.ensure(KUBE_APISERVER)
    cluster = await KubeCluster.start(etcd, apiserver, folder, warden=warden, name="bare")
    yield cluster
    await cluster.stop()
    warden.remove_folder(folder)


async def test_crds_are_installed_by_the_command(
    bare: KubeCluster, toolchain: Toolchain, warden: Warden, tmp_path: Path
) -> None:
    """Without CRDs the operator ends and names the command that installs them; that one works, and again."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(bare.kubeconfig("admin"))
    nats = await NatsServer.start(toolchain.ensure(NATS_SERVER), tmp_path / "nats", warden=warden)
    settings = {
        "FLEET_NATS_URL": nats.url,
        "FLEET_NAMESPACE": "default",
        "FLEET_HTTP_ADDR": f"{HOST}:0",
        "FLEET_START_TIMEOUT_S": "20",
        "KUBECONFIG": str(kubeconfig),
    }
    try:
        code, out, err = await fleet_command(["operator"], settings)
        assert (code, out) == (3, "")
        (line,) = (line for line in err.splitlines() if not line.startswith("{"))
        assert line.startswith("fleet: ")
        assert line.endswith("are the CRDs installed? `fleet crds --apply` installs them")
    finally:
        await nats.stop()

    names = [kind.crd_name for kind in (DEPLOYMENT, DEVICE)]
    async with bare.admin() as admin:
        for _ in range(2):
            code, out, err = await fleet_command(["crds", "--apply"], settings)
            assert (code, err) == (0, "")
            assert out.splitlines() == [f"{name} applied" for name in names]
            versions = [await spec_version(admin, name) for name in names]
            assert versions == [1, 1], "applying what is there changes nothing"


async def spec_version(admin: KubeAdmin, crd_name: str) -> object:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd_name}"
    found = await admin.request("GET", path)
    assert isinstance(found, dict)
    return found["metadata"]["generation"]


async def fleet_command(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    """(exit code, stdout, stderr) of `fleet`, as its users run it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fleet",
        *argv,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_WITHIN_S):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode, out.decode(), err.decode()
