"""`fleetproof simulate`: thousands of devices that a broker and an operator take for real ones."""

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import click
from rich.table import Table

from scenarios.commands.ends import EXIT_FAILED, EXIT_UNDECIDED
from scenarios.running.console import make_console

if TYPE_CHECKING:
    from harness.devices.simulator.figures import Summary


@click.command()
@click.option("--nats", "url", metavar="URL", required=True, help="The broker: nats://HOST:PORT.")
@click.option("--devices", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@click.option(
    "--labels", multiple=True, metavar="KEY=VALUE", help="Of each device (repeatable); {i}, {i%N}, {i//N}: its number."
)
@click.option("--beat-every", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--state-changes-per-s", type=click.FloatRange(0, 10_000), default=0.0, show_default=True, help="In all.")
@click.option("--failed-percent", type=click.FloatRange(0, 100), default=2.0, show_default=True, help="Of the changes.")
@click.option("--connections", type=click.IntRange(1, 1_000), help="That they share [default: one for 250 devices].")
@click.option("--starts-per-s", type=click.FloatRange(1, 10_000), default=500.0, show_default=True, help="Also again.")
@click.option("--first", type=click.IntRange(0, 10_000_000), default=0, show_default=True, help="Number of the first.")
@click.option("--seconds", type=click.FloatRange(0.1, 1_000_000), help="End by itself [default: Ctrl-C ends it].")
@click.option("--yes-this-broker", metavar="HOST", help="Needed for a broker that is not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def simulate(
    *,
    url: str,
    devices: int,
    labels: tuple[str, ...],
    beat_every: float,
    state_changes_per_s: float,
    failed_percent: float,
    connections: int | None,
    starts_per_s: float,
    first: int,
    seconds: float | None,
    yes_this_broker: str | None,
    as_json: bool,
) -> None:
    """Play many devices, named sim-00000 and so on, to load a broker and its operator.

    They wait for the buckets, introduce themselves, beat, act on what is desired of them and report it, as agents do.
    A state change is a container that came back with another id, or one that failed. What they wrote stays stored.

    Exit codes: 0 if at the end all had joined and nothing was refused, 1 if not, 3 if none ever joined, 130 after
    Ctrl-C; there is a summary each time.

    \b
    Examples:
      fleetproof simulate --nats nats://127.0.0.1:4222 --devices 5000 --labels group=g{i%4}
      fleetproof simulate --nats nats://127.0.0.1:4222 --devices 300 --state-changes-per-s 50 --seconds 20 --json
      fleetproof simulate --nats nats://nats.test:4222 --yes-this-broker nats.test --devices 20000
    """
    from harness.devices.simulator.fleet import SimulatedFleet  # noqa: PLC0415 - the harness loads only here
    from harness.devices.simulator.plan import Plan, check_broker, labels_of  # noqa: PLC0415 - see above

    check_broker(url, yes_this_broker)
    plan = Plan(
        url=url,
        devices=devices,
        labels=labels_of(labels),
        beat_every_s=beat_every,
        state_changes_per_s=state_changes_per_s,
        failed_percent=failed_percent,
        starts_per_s=starts_per_s,
        connections=connections or 0,
        first=first,
        seconds=seconds,
    )
    interrupted = False

    async def run() -> "Summary":
        stop = asyncio.Event()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        return await SimulatedFleet(plan, lambda progress: click.echo(str(progress), err=True)).run(stop)

    summary = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for row in summary.rows():
            table.add_row(*row)
        make_console(stderr=False).print(table)
    if interrupted:
        raise KeyboardInterrupt
    if not summary.joined_ever:
        raise SystemExit(EXIT_UNDECIDED)
    if not summary.is_clean:
        raise SystemExit(EXIT_FAILED)
