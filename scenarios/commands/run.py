"""`fleetproof run`: shapes on an operator, and a verdict."""

import json
from pathlib import Path

import click

from scenarios.catalogue import SHAPES, family, shape
from scenarios.commands.ends import end_by, fail
from scenarios.defects import DEFECTS
from scenarios.running.console import make_console


@click.command()
@click.argument("shapes", metavar="ID...", nargs=-1, required=True)
@click.option("--case", "cases", multiple=True, help="Only this case (repeatable).")
@click.option("--defect", metavar="NAME", help="Run on the product with this defect: it is red.")
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--operator", metavar="COMMAND", help="Another operator that honours docs/contract.md.")
@click.option("--agent", metavar="COMMAND", help="Another agent that does.")
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="A folder with scenarios of your own, to run instead of ours.",
)
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def run(
    shapes: tuple[str, ...],
    *,
    cases: tuple[str, ...],
    defect: str | None,
    operator: str | None,
    agent: str | None,
    workers: int,
    as_json: bool,
    folder: Path | None,
    runs: Path | None,
) -> None:
    """Run recovery shapes, by id or number, a family of them by its letter, or `all`; the exit code is the verdict.

    \b
    Examples:
      fleetproof run cold-restart-full-kv
      fleetproof run 15 W1 -n 2
      fleetproof run W
      fleetproof run cold-restart-full-kv --defect no-seed
      fleetproof run all --json
      fleetproof run all --operator "/opt/other/operator --verbose"
      fleetproof run --from my-scenarios my-shape
    """
    from scenarios.running.run_table import as_json as json_of  # noqa: PLC0415 - pytest and the harness load only here
    from scenarios.running.run_table import print_run, rows_of, verdict_of  # noqa: PLC0415 - see above
    from scenarios.running.runner import Selection, execute  # noqa: PLC0415 - see above

    if defect is not None and (operator or agent):
        fail("--defect patches our own product: it goes without --operator and --agent")
    ids = _chosen(shapes, own=folder is not None)
    if defect is not None and folder is None:
        _check_defect(defect, ids)
    selection = Selection(
        shapes=ids,
        cases=cases,
        defects=(defect,) if defect else (),
        operator=operator,
        agent=agent,
        workers=workers,
        runs=runs,
        folder=folder,
    )
    console = make_console(stderr=as_json)
    done = execute(selection, console)
    if not done.cases:
        where = f" in {folder}" if folder else "; `fleetproof list` shows what there is"
        fail(f"no case was run: {done.trouble or 'nothing matches' + where}")
    # Who asked for one case or one defect did not ask for the other shapes.
    rows = rows_of(done, [] if cases or defect else ids)
    if as_json:
        click.echo(json.dumps(json_of(done, rows), indent=2))
    else:
        print_run(done, rows, console)
    if done.interrupted:
        raise KeyboardInterrupt
    end_by(verdict_of(done, rows))


def _chosen(names: tuple[str, ...], *, own: bool) -> list[str]:
    """Ids of shapes. Those of somebody's own folder are not known before it is read; none of them means all."""
    if own:
        return [] if names == ("all",) else list(names)
    if names == ("all",):
        return [s.id for s in SHAPES]
    try:
        return [s.id for name in names for s in family(name) or [shape(name)]]
    except KeyError as e:
        fail(f"no shape {e}; `fleetproof list` shows the ones there are")


def _check_defect(name: str, shapes: list[str]) -> None:
    if name not in DEFECTS:
        fail(f"no defect {name!r}; `fleetproof list` shows the ones there are")
    if DEFECTS[name].shape not in shapes:
        fail(f"{name} is a defect of {DEFECTS[name].shape}, which was not chosen")
