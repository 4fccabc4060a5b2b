"""The `fleet` command: composition root of the product."""

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from fleet import logs
from fleet.agent import cli as agent_cli
from fleet.ends import fail, one_line
from fleet.errors import FleetError, SettingsError

_PROGRAM = "fleet"


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
    from fleet.operator.main import Operator  # noqa: PLC0415 - see above
    from fleet.settings import OperatorSettings  # noqa: PLC0415 - see above

    logs.configure()
    with one_line(_PROGRAM):
        settings = OperatorSettings.from_environment(os.environ)
        asyncio.run(Operator(settings).run())


@main.group()
def agent() -> None:
    """Make the agent's file, or run the agent from this installation."""


agent.add_command(agent_cli.run)
agent.add_command(agent_cli.unit)


@agent.command("build")
@click.option("--version", required=True, help="What this agent will call itself.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where the file goes; ./fleet-agent-vVERSION if not given."
)
@click.option("--json", "as_json", is_flag=True, help="Print path, version, sha256 and size_bytes as JSON.")
def agent_build(*, version: str, output: Path | None, as_json: bool) -> None:
    """Make the agent: one executable file for any device with Python 3.11 or newer, the same bytes each time.

    \b
    Examples:
      fleet agent build --version 1.4.2
      fleet agent build --version 1.4.2 --output /srv/agents/fleet-agent-v1.4.2 --json
    """
    from fleet import agent_file  # noqa: PLC0415 - see `operator`

    with one_line(_PROGRAM):
        built = agent_file.build(version, output or Path(f"fleet-agent-v{version}"))
        if as_json:
            click.echo(json.dumps({**asdict(built), "path": str(built.path)}))
        else:
            click.echo(f"{built.path}: version {built.version}, {built.size_bytes} bytes, SHA-256 {built.sha256}")


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
        fail(_PROGRAM, e)
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
        fail(
            _PROGRAM, SettingsError("--yes approves nothing unseen: name the SWEEP_ID that `fleet approve-sweep` shows")
        )
    try:
        asyncio.run(_approve_sweep(kubeconfig_at(kubeconfig), namespace, sweep_id, yes=yes, as_json=as_json))
    except FleetError as e:
        fail(_PROGRAM, e)


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


if __name__ == "__main__":
    main()
