"""`fleetproof defects`: is every check as sharp as its name?"""

import json
from pathlib import Path

import click

from scenarios.commands.ends import end_by, fail
from scenarios.defects import DEFECTS
from scenarios.running.console import make_console


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def defects(names: tuple[str, ...], *, workers: int, as_json: bool, runs: Path | None) -> None:
    """Run defective operators, each in the shape that must catch it: the check that is named for it has to turn red.

    Only on an operator that came up and converged, unless the defect is of its start: a crash is no catch. Exit code 0
    says that all of them were caught.

    \b
    Examples:
      fleetproof defects -n 2
      fleetproof defects no-seed dirty-marks-lost --json
    """
    from scenarios.running.matrix import as_json as json_of  # noqa: PLC0415 - pytest and the harness load only here
    from scenarios.running.matrix import print_matrix, rows_of  # noqa: PLC0415 - see above
    from scenarios.running.runner import Selection, execute  # noqa: PLC0415 - see above

    if unknown := [name for name in names if name not in DEFECTS]:
        fail(f"no defect {unknown[0]!r}; `fleetproof list` shows the ones there are")
    console = make_console(stderr=as_json)
    done = execute(Selection(defects=names, defects_only=True, workers=workers, runs=runs), console)
    if not done.cases:
        fail(f"no defect was run: {done.trouble or 'none has its case'}")
    rows = rows_of(done, [DEFECTS[name] for name in dict.fromkeys(names)] or list(DEFECTS.values()))
    if as_json:
        click.echo(json.dumps(json_of(done, rows), indent=2))
    else:
        print_matrix(done, rows, console)
    if done.interrupted:
        raise KeyboardInterrupt
    if not all(row.caught for row in rows):
        end_by("fail")
    end_by("infra-error" if done.trouble else "pass")
