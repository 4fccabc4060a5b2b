"""`fleetproof recheck`: what do stored histories say today?"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.markup import escape

from scenarios.commands.ends import EXIT_BAD_INPUT, end_by
from scenarios.running.console import make_console, verdict_word
from scenarios.running.rechecking import OURS, Rechecked, find_within, recheck_folder


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--allow", metavar="MODULE", multiple=True, help="Checks may also come from there (repeatable).")
@click.option(
    "--from",
    "own",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="A folder with scenarios of your own: checks may also come from its modules.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def recheck(folder: Path, *, allow: tuple[str, ...], own: Path | None, as_json: bool) -> None:
    """Judge stored histories again: DIR is the folder of a run, or of one of its cases.

    The questions are those that were asked then; the answers come from the recorded events alone. Exit code 0: every
    verdict is the same, 1: one differs, 2: a history can't be judged again, 3: nothing was ever judged.

    \b
    Examples:
      fleetproof recheck .fleetproof/runs/latest
      fleetproof recheck my-run --from my-scenarios --json
    """
    allowed = [*OURS, *allow]
    if own is not None:
        sys.path.insert(0, str(own))
        allowed += sorted(path.stem for path in own.glob("*.py"))
    console = make_console(stderr=as_json)
    done = []
    for one in recheck_folder(folder, find_within(allowed)):
        done.append(one)
        if not as_json and one.problem is None:
            _print(one, console)
    if as_json:
        click.echo(json.dumps([_json(one) for one in done], indent=2))
    for one in done:
        if one.problem is not None:
            click.echo(f"fleetproof: {one.problem}", err=True)
    _end(done)


def _end(done: Sequence[Rechecked]) -> NoReturn:
    if not all(one.same for one in done):
        end_by("fail")
    if any(one.problem is not None for one in done):
        sys.exit(EXIT_BAD_INPUT)
    end_by("pass" if any(one.judged for one in done) else "inconclusive")


def _name(one: Rechecked) -> str:
    meta = one.meta
    if meta is None:
        return one.path.parent.name
    return f"{meta.scenario}[{meta.case}]" + (f" with {meta.defect}" if meta.defect else "")


def _print(one: Rechecked, console: Console) -> None:
    if not one.judged:
        console.print(f"{escape(_name(one))}: was not judged")
        return
    if one.same:
        console.print(f"{escape(_name(one))}: the same, {verdict_word(one.stored)} by {len(one.verdicts)} checks")
        return
    console.print(
        f"{escape(_name(one))}: [bold red]differs[/], {verdict_word(one.stored)} then, {verdict_word(one.again)} now"
    )
    for again in one.verdicts:
        if not again.same:
            stored, now = again.stored, again.finding
            console.print(f"  {stored.check} (line {again.line} of {one.path})")
            console.print(f"    then {verdict_word(stored.outcome)}: {escape(stored.reason)}")
            console.print(f"    now  {verdict_word(now.outcome)}: {escape(now.reason)}")


def _json(one: Rechecked) -> dict[str, object]:
    meta = one.meta
    return {
        "history": str(one.path),
        "shape": meta.scenario if meta else None,
        "case": meta.case if meta else None,
        "defect": meta.defect if meta else None,
        "judged": one.judged,
        "same": one.same if one.problem is None else None,
        "problem": one.problem,
        "stored": one.stored if one.judged else None,
        "again": one.again if one.judged else None,
        "verdicts": [
            {"check": a.stored.check, "same": a.same, "stored": a.stored.outcome, "again": a.finding.outcome}
            | {"reason_stored": a.stored.reason, "reason_again": a.finding.reason}
            | {"line": a.line, "lines": list(a.finding.evidence)}
            for a in one.verdicts
        ],
    }
