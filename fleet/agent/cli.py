"""The commands of the agent's own file, `fleet-agent`; the `fleet` command has them too, below `fleet agent`."""

import asyncio
import os
import pkgutil

import click

from fleet.ends import one_line


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetproof", prog_name="fleet-agent")
def main() -> None:
    """Run the containers that the fleet's operator asks this device for.

    \b
    Examples:
      fleet-agent unit > /etc/systemd/system/fleet-agent.service
      FLEET_NATS_URL=nats://127.0.0.1:4222 FLEET_DEVICE_ID=edge-1 fleet-agent run
    """


@main.command()
def run() -> None:
    """Run the agent, configured by its environment. A signal to end leaves the containers running.

    \b
    FLEET_NATS_URL        nats://HOST:PORT
    FLEET_DEVICE_ID       the name of this device, which no other device has
    FLEET_LABELS          KEY=VALUE,KEY=VALUE: what selectors match (none)
    FLEET_PODMAN_SOCKET   where podman answers (/run/podman/podman.sock)
    FLEET_ROOT            the folder that the agent's own files are below (/)
    FLEET_HEARTBEAT_S     seconds between two signs of life (30)
    FLEET_TICK_S          seconds between two looks at the containers when nothing changes (10)

    \b
    Exit codes: 0 stopped by SIGTERM or SIGINT, 2 bad input, 70 a crash. Who is away or refuses is asked again.

    \b
    Example:
      FLEET_NATS_URL=nats://127.0.0.1:4222 FLEET_DEVICE_ID=edge-1 FLEET_LABELS=site=hamburg fleet-agent run
    """
    # Their libraries load only for the command that needs them: each start compiles what it imports.
    from fleet import logs  # noqa: PLC0415 - see above
    from fleet.agent.main import Agent  # noqa: PLC0415 - see above
    from fleet.settings import AgentSettings  # noqa: PLC0415 - see above

    logs.configure()
    with one_line("fleet-agent"):
        asyncio.run(Agent(AgentSettings.from_environment(os.environ)).run())


@main.command()
def unit() -> None:
    """Print the systemd unit. It runs /usr/local/bin/fleet-agent and reads /etc/fleet-agent.env.

    \b
    Example:
      fleet-agent unit > /etc/systemd/system/fleet-agent.service && systemctl enable --now fleet-agent
    """
    click.echo(pkgutil.get_data("fleet.agent", "fleet-agent.service"), nl=False)
