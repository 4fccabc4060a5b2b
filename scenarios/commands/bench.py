"""`fleetproof bench`: what recovery costs, measured on real servers. The harness measures; this says it."""

import json
import shlex
import sys
import time
from collections.abc import Callable

import click
from rich.table import Table

from harness.history.records import Json
from scenarios.catalogue import SHAPES
from scenarios.commands.ends import EXIT_FAILED
from scenarios.running.console import make_console

_operator = click.option(
    "--operator",
    "operator_",
    metavar="COMMAND",
    help="Another operator that honours docs/contract.md and logs as ours.",
)
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def bench() -> None:
    """Measure what recovery costs, next to what it cannot cost less than.

    \b
    Example:
      fleetproof bench cold-start --devices 1000 --rounds 3
    """


@bench.command("cold-start")
@click.option("--devices", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option("--deployments", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Each runs every contestant.")
@_operator
@_json
def cold_start(*, devices: int, deployments: int, rounds: int, operator_: str | None, as_json: bool) -> None:
    """Time an operator's way to Converged in a full fleet, against bare drains and a plain twin.

    \b
    Examples:
      fleetproof bench cold-start
      fleetproof bench cold-start --devices 100000 --rounds 3 --json
    """
    from harness.bench.cold_start import measure  # noqa: PLC0415 - the harness loads only here
    from harness.bench.plan import Plan  # noqa: PLC0415 - see above
    from harness.bench.report import cold_start_rows  # noqa: PLC0415 - see above
    from harness.bench.stage import NEEDED  # noqa: PLC0415 - see above
    from harness.toolchain import Toolchain  # noqa: PLC0415 - see above

    result = measure(
        Toolchain().ensure_all(NEEDED), Plan(devices, deployments), _command(operator_), rounds=rounds, say=_say()
    )
    _tell(result.as_json(), cold_start_rows, as_json=as_json)


@bench.command("state-change")
@click.option("--small", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True, help="Devices.")
@click.option("--large", type=click.IntRange(1, 1_000_000), default=100_000, show_default=True, help="Devices.")
@click.option("--deployments", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--changes", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="In each lap.")
@click.option("--rate", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Changes a second.")
@click.option("--rounds", type=click.IntRange(1, 100), default=6, show_default=True)
@_operator
@_json
def state_change(
    *,
    small: int,
    large: int,
    deployments: int,
    changes: int,
    rate: int,
    rounds: int,
    operator_: str | None,
    as_json: bool,
) -> None:
    """Measure the CPU that one change of a device's state costs, and count the patches that the changes cause.

    \b
    Examples:
      fleetproof bench state-change
      fleetproof bench state-change --large 10000 --changes 5000 --json
    """
    from harness.bench.plan import Plan  # noqa: PLC0415 - the harness loads only here
    from harness.bench.report import state_change_rows  # noqa: PLC0415 - see above
    from harness.bench.stage import NEEDED  # noqa: PLC0415 - see above
    from harness.bench.state_change import Load, measure  # noqa: PLC0415 - see above
    from harness.toolchain import Toolchain  # noqa: PLC0415 - see above

    if small >= large:
        raise click.UsageError("--small must be less than --large")
    result = measure(
        Toolchain().ensure_all(NEEDED),
        (Plan(small, deployments), Plan(large, deployments)),
        Load(changes, rate, rounds),
        _command(operator_),
        say=_say(),
    )
    _tell(result.as_json(), state_change_rows, as_json=as_json)
    for problem in result.problems:
        click.echo(f"fleetproof: {problem}", err=True)
    if result.problems:
        sys.exit(EXIT_FAILED)


@bench.command("suite")
@click.argument("shapes", metavar="[ID]...", nargs=-1)
@click.option("--turn", type=click.IntRange(1, 100), default=4, show_default=True, help="Shapes in a turn.")
@_json
def suite(*, shapes: tuple[str, ...], turn: int, as_json: bool) -> None:
    """Time the catalogue (or these shapes) against the same with a fresh environment per case and one worker.

    All of it takes about two hours; a few shapes give a first figure.

    \b
    Examples:
      fleetproof bench suite --json
      fleetproof bench suite cold-restart-full-kv missing-buckets
    """
    from harness.bench.report import suite_rows  # noqa: PLC0415 - the harness loads only here
    from harness.env.foundation import NEEDED  # noqa: PLC0415 - see above
    from harness.toolchain import Toolchain  # noqa: PLC0415 - see above
    from scenarios.running.bench_suite import measure, turns_of  # noqa: PLC0415 - see above

    chosen = [s.id for s in SHAPES if not shapes or s.id in shapes or s.number in shapes]
    if not chosen:
        raise click.UsageError(f"no shape {' '.join(shapes)}; `fleetproof list` shows the ones there are")
    result = measure(Toolchain().ensure_all(NEEDED), turns_of(chosen, turn), _say())
    _tell(result.as_json(), suite_rows, as_json=as_json)


@bench.command("agent")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=21, show_default=True, help="Each starts a container twice."
)
@click.option(
    "--idle-s", type=click.FloatRange(1, 3600), default=60.0, show_default=True, help="How long it is watched."
)
@click.option("--agent", "agent_", metavar="COMMAND", help="Another agent that honours docs/contract.md.")
@_json
def agent(*, rounds: int, idle_s: float, agent_: str | None, as_json: bool) -> None:
    """Time the way from a KV write to a container's start against `podman run`, and watch an idle agent.

    \b
    Examples:
      fleetproof bench agent --json
      fleetproof bench agent --rounds 5 --idle-s 10
    """
    from harness.bench.agent import NEEDED, measure  # noqa: PLC0415 - the harness loads only here
    from harness.bench.report import agent_rows  # noqa: PLC0415 - see above
    from harness.toolchain import Toolchain  # noqa: PLC0415 - see above

    command = shlex.split(agent_) if agent_ else None
    result = measure(Toolchain().ensure_all(NEEDED), command, rounds=rounds, idle_s=idle_s, say=_say())
    _tell(result.as_json(), agent_rows, as_json=as_json)


def _command(text: str | None) -> list[str]:
    return shlex.split(text) if text else [sys.executable, "-m", "fleet", "operator"]


def _say() -> Callable[[str], None]:
    """Progress for people, with the seconds since now."""
    console = make_console(stderr=True)
    began = time.monotonic()
    return lambda text: console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}")


def _tell(answer: Json, rows_of: Callable[[Json], tuple[list[list[str]], list[str]]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    rows, notes = rows_of(answer)
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="left" if number == 0 else "right")
    for row in rows[1:]:
        table.add_row(*row)
    console = make_console(stderr=False)
    console.print(table)
    for note in notes:
        console.print(note)
