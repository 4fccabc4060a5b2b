"""`fleetproof sweep`: a fault at every step of something, one after the other."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from scenarios.commands.ends import end_by, fail
from scenarios.running.console import make_console


@click.group()
def sweep() -> None:
    """Strike at every step of what a program does, counted in a clean run.

    \b
    Example:
      fleetproof sweep roll --every 10
    """


@sweep.command()
@click.option("--steps", "part", metavar="FIRST-LAST", help="Only these of the steps, by their place in a clean roll.")
@click.option("--every", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Only each so many-eth.")
@click.option("-n", "--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Worlds side by side.")
@click.option("--agent", metavar="COMMAND", help="Another agent that honours docs/contract.md.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def roll(*, part: str | None, every: int, workers: int, agent: str | None, as_json: bool, runs: Path | None) -> None:
    """Kill the agent (SIGKILL) before every system call on a file or a socket that a roll takes.

    One service changes, one is dropped, one is new, and another deployment is left alone. After each kill the next
    agent has to end in the state of a clean roll, with no service running twice and nothing healthy touched. Exit code
    0: all of it held at every step; 1: not so; 3: some step was not reached.

    \b
    Examples:
      fleetproof sweep roll -n 2
      fleetproof sweep roll --steps 1-40
      fleetproof sweep roll --every 10 --json
    """
    from scenarios.running.sweep_roll import sweep_roll  # noqa: PLC0415 - the harness loads only here
    from scenarios.running.sweep_table import as_json as json_of  # noqa: PLC0415 - see above
    from scenarios.running.sweep_table import print_sweep  # noqa: PLC0415 - see above

    first, last = _part(part)

    def choose(steps: Sequence[str]) -> Sequence[str]:
        return steps[first - 1 : last : every]

    console = make_console(stderr=as_json)
    done = sweep_roll(choose, workers, agent, runs, console)
    if as_json:
        click.echo(json.dumps(json_of(done), indent=2))
    else:
        print_sweep(done, console)
    end_by(done.swept.verdict)


def _part(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 1, None
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and dash and last.isdecimal() and 1 <= int(first) <= int(last)):
        fail(f"--steps {text!r}: expected two numbers such as 1-40, counted from 1")
    return int(first), int(last)
