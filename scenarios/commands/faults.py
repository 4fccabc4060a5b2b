"""`fleetproof faults`: does each fault bite, and does its proof notice if it does not?"""

import json
from pathlib import Path

import click

from scenarios.commands.ends import end_by, fail
from scenarios.running.console import make_console


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--toothless", is_flag=True, help="Each fault does nothing: every one has to end inconclusive.")
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def faults(names: tuple[str, ...], *, toothless: bool, workers: int, as_json: bool, runs: Path | None) -> None:
    """Strike a small running fleet with each fault of the library, alone, and show what proves it active and healed.

    Exit code 0 says that all of them bite, or with --toothless that no proof was fooled.

    \b
    Examples:
      fleetproof faults -n 2
      fleetproof faults cut sigstop
      fleetproof faults --toothless --json
    """
    from scenarios.exhibits import EXHIBITS  # noqa: PLC0415 - pytest and the harness load only here
    from scenarios.exhibits.show import as_json as json_of  # noqa: PLC0415 - see above
    from scenarios.exhibits.show import print_show, rows_of, verdict_of  # noqa: PLC0415 - see above
    from scenarios.running.runner import Selection, execute  # noqa: PLC0415 - see above

    if unknown := [name for name in names if name not in EXHIBITS]:
        fail(f"no fault {unknown[0]!r}; there are: {', '.join(EXHIBITS)}")
    console = make_console(stderr=as_json)
    done = execute(Selection(shapes=("faults",), cases=names, toothless=toothless, workers=workers, runs=runs), console)
    rows = rows_of(done, [EXHIBITS[name] for name in names] or list(EXHIBITS.values()), toothless=toothless)
    if as_json:
        click.echo(json.dumps(json_of(done, rows), indent=2))
    else:
        print_show(done, rows, console)
    if done.interrupted:
        raise KeyboardInterrupt
    end_by(verdict_of(done, rows))
