"""The `fleet` command: composition root of the product.

Exit codes: 0 done or stopped in good order, 2 bad input, 3 a peer refused or is not there, 70 a crash.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from fleet import logs
from fleet.errors import FleetError, PeerError, SettingsError

EXIT_BAD_INPUT = 2
EXIT_PEER = 3
EXIT_CRASH = 70


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetproof", prog_name="fleet")
def main() -> None:
    """Run containers on many Linux devices: Kubernetes resources in, NATS JetStream out."""


@main.command()
def operator() -> None:
    """Run the operator, configured by its environment.

    \b
    FLEET_NATS_URL        nats://HOST:PORT
    KUBECONFIG            a kubeconfig file; unset in a pod: its service account
    FLEET_NAMESPACE       the namespace whose Deployments and Devices it serves
    FLEET_HTTP_ADDR       HOST:PORT of /healthz /readyz /recovery /metrics (127.0.0.1:8080)
    FLEET_START_TIMEOUT_S how long to wait for NATS and Kubernetes at the start (30)
    FLEET_STALE_AFTER_S   how long a device may be silent before it counts as stale (90)

    \b
    Example:
      FLEET_NATS_URL=nats://127.0.0.1:4222 FLEET_NAMESPACE=fleet KUBECONFIG=~/.kube/config fleet operator
    """
    # The operator's libraries load only for the command that needs them.
    from fleet.operator.main import Operator, crash_line  # noqa: PLC0415 - see above
    from fleet.settings import OperatorSettings  # noqa: PLC0415 - see above

    logs.configure()
    try:
        settings = OperatorSettings.from_environment(os.environ)
        asyncio.run(Operator(settings).run())
    except FleetError as e:
        _fail(e)
    except Exception as e:  # noqa: BLE001 - the last line of the log says why the process is gone
        if not isinstance(e, ExceptionGroup):
            # What crashed in a loop was logged there.
            logs.get_logger("cli").critical("crashed", reason=crash_line(e), exc_info=e)
        click.echo(f"fleet: crashed: {crash_line(e)}", err=True)
        sys.exit(EXIT_CRASH)


@main.command()
@click.option("--apply", "apply_", is_flag=True, help="Install them in the cluster of the kubeconfig.")
@click.option(
    "--kubeconfig",
    envvar="KUBECONFIG",
    help="Used by --apply; the pod's service account if not given.",
)
def crds(*, apply_: bool, kubeconfig: str | None) -> None:
    """Print the custom resource definitions, or install them.

    \b
    Examples:
      fleet crds | kubectl apply -f -
      fleet crds --apply --kubeconfig ~/.kube/config
    """
    from fleet import crds as definitions  # noqa: PLC0415 - see `operator`
    from fleet.settings import kubeconfig_at  # noqa: PLC0415 - see `operator`

    if not apply_:
        click.echo(definitions.manifest_text(), nl=False)
        return
    try:
        names = asyncio.run(_apply_crds(kubeconfig_at(kubeconfig)))
    except FleetError as e:
        _fail(e)
    for name in names:
        click.echo(f"{name} applied")


@main.command("approve-sweep")
@click.argument("sweep_id", required=False)
@click.option("--yes", is_flag=True, help="Approve without asking; needs SWEEP_ID.")
@click.option("--json", "as_json", is_flag=True, help="Print what waits as JSON and approve nothing.")
@click.option("--namespace", envvar="FLEET_NAMESPACE", required=True, help="The namespace that the operator serves.")
@click.option("--kubeconfig", envvar="KUBECONFIG", help="The pod's service account if not given.")
def approve_sweep(*, sweep_id: str | None, yes: bool, as_json: bool, namespace: str, kubeconfig: str | None) -> None:
    """Let the operator delete keys that nobody wants and that it holds back because they are many.

    Without SWEEP_ID it shows what waits and asks. Approval is for exactly the keys that were shown: should others come
    to be unwanted meanwhile, the operator asks again.

    \b
    Examples:
      fleet approve-sweep --namespace fleet
      fleet approve-sweep --namespace fleet --yes 3f2a9c01b7de
    """
    from fleet.settings import kubeconfig_at  # noqa: PLC0415 - see `operator`

    if yes and sweep_id is None:
        _fail(SettingsError("--yes approves nothing unseen: name the SWEEP_ID that `fleet approve-sweep` shows"))
    try:
        asyncio.run(_approve_sweep(kubeconfig_at(kubeconfig), namespace, sweep_id, yes=yes, as_json=as_json))
    except FleetError as e:
        _fail(e)


async def _approve_sweep(
    kubeconfig: Path | None, namespace: str, sweep_id: str | None, *, yes: bool, as_json: bool
) -> None:
    from fleet.kube.client import KubeClient  # noqa: PLC0415 - see `operator`
    from fleet.operator import approval  # noqa: PLC0415 - see `operator`

    kube = await KubeClient.open(kubeconfig, namespace, user_agent="fleet-approve-sweep")
    try:
        question = await approval.read(kube)
        if as_json:
            click.echo(json.dumps(question.as_json() if question else None))
            return
        if question is None:
            click.echo(f"nothing waits for approval in namespace {namespace}")
            return
        if sweep_id is not None and sweep_id != question.id:
            raise SettingsError(f"sweep {sweep_id} does not wait (any more): the one that waits is {question.id}")
        click.echo(f"sweep {question.id}: {question.count} keys would be deleted: {question.reason}")
        for key in question.examples:
            click.echo(f"  {key}")
        if question.count > len(question.examples):
            click.echo(f"  and {question.count - len(question.examples)} more")
        if not yes and not click.confirm("Delete them?"):
            click.echo("nothing was approved")
            return
        await approval.approve(kube, question)
        click.echo(f"sweep {question.id} is approved")
    finally:
        await kube.close()


async def _apply_crds(kubeconfig: Path | None) -> list[str]:
    from fleet import crds as definitions  # noqa: PLC0415 - see `operator`
    from fleet.kube.client import KubeClient  # noqa: PLC0415 - see `operator`

    client = await KubeClient.open(kubeconfig, "default", user_agent="fleet-crds")
    names: list[str] = []
    try:
        for manifest in definitions.manifests():
            metadata = manifest["metadata"]
            name = str(metadata["name"]) if isinstance(metadata, dict) else ""
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            await client.apply(path, manifest, field_manager="fleet")
            names.append(name)
    finally:
        await client.close()
    return names


def _fail(error: FleetError) -> NoReturn:
    click.echo(f"fleet: {error}", err=True)
    sys.exit(EXIT_PEER if isinstance(error, PeerError) else EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
