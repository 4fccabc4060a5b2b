"""The `fleetproof` command: composition root of the harness.

Exit codes: 0 all passed, 1 something failed, 2 bad input or a missing part, 3 undecided (inconclusive, infra error),
130 Ctrl-C.
"""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.table import Table

from harness.errors import HarnessError
from scenarios.catalogue import SHAPES, Shape, shape
from scenarios.console import make_console, verdict_word
from scenarios.defects import DEFECTS, defects_of

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNDECIDED = 3
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetproof", prog_name="fleetproof")
def main() -> None:
    """Prove that a device fleet recovers."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(*, as_json: bool) -> None:
    """Show what this machine can do, and how to enable the rest.

    \b
    Example:
      fleetproof doctor
    """
    from harness.capability import CAPABILITIES, Available, probe_all  # noqa: PLC0415 - probing loads much

    console = make_console(stderr=as_json)
    with console.status("trying what this machine can do"):
        results = probe_all()
    if as_json:
        rows = [
            {
                "name": c.name,
                "available": isinstance(r := results[c.name], Available),
                "reason": None if isinstance(r, Available) else r.reason.value,
                "detail": r.detail,
                "used_for": c.used_for,
                "enable": c.enable,
            }
            for c in CAPABILITIES
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "found", "used for"):
        table.add_column(heading)
    for c in CAPABILITIES:
        result = results[c.name]
        there = isinstance(result, Available)
        found = result.detail if isinstance(result, Available) else f"{result}\nto enable: {c.enable}"
        table.add_row("[green]yes[/]" if there else "[yellow]no[/]", c.name, found, c.used_for)
    console.print(table)


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_shapes(*, as_json: bool) -> None:
    """List the recovery shapes, their cases' home and their defects."""
    if as_json:
        rows = [
            {"number": s.number, "id": s.id, "title": s.title, "risk": s.risk}
            | {"trigger": s.trigger, "expected": s.expected, "oracle": s.oracle}
            | {"defects": [{"name": d.name, "check": d.check, "story": d.story} for d in defects_of(s.id)]}
            for s in SHAPES
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "id", "what must hold", "defects it catches"):
        table.add_column(heading)
    for s in SHAPES:
        table.add_row(str(s.number), s.id, s.expected, "\n".join(d.name for d in defects_of(s.id)))
    make_console(stderr=False).print(table)


@main.command()
@click.argument("shapes", metavar="ID...", nargs=-1, required=True)
@click.option("--case", "cases", multiple=True, help="Only this case (repeatable).")
@click.option("--defect", type=click.Choice(sorted(DEFECTS)), help="Run on the product with this defect: it is red.")
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def run(
    shapes: tuple[str, ...],
    *,
    cases: tuple[str, ...],
    defect: str | None,
    workers: int,
    as_json: bool,
    runs: Path | None,
) -> None:
    """Run recovery shapes, by id or number, or `all` of them; the exit code is the verdict.

    \b
    Examples:
      fleetproof run cold-restart-full-kv
      fleetproof run 15 20 -n 2
      fleetproof run cold-restart-full-kv --defect no-seed
      fleetproof run all --json
    """
    from scenarios.runner import Selection, execute  # noqa: PLC0415 - pytest and the harness load only here

    selection = Selection([s.id for s in _chosen(shapes)], cases, defect, workers, runs)
    if defect is not None and DEFECTS[defect].shape not in selection.shapes:
        _fail(f"{defect} is a defect of {DEFECTS[defect].shape}, which was not chosen")
    console = make_console(stderr=as_json)
    try:
        done = execute(selection, console)
    except HarnessError as e:
        _fail(str(e))
    if not done.cases:
        _fail("no case was run: " + (done.trouble or "nothing matches; `fleetproof list` shows what there is"))
    if as_json:
        click.echo(json.dumps(done.as_json(), indent=2))
    else:
        done.print(console)
    outcomes = {case.outcome for case in done.cases}
    if "fail" in outcomes:
        sys.exit(EXIT_FAILED)
    sys.exit(EXIT_UNDECIDED if outcomes != {"pass"} or done.trouble else 0)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def demo(*, as_json: bool, runs: Path | None) -> None:
    """Kill a real operator under write load and prove its recovery; two minutes at most, once the parts are built.

    \b
    Example:
      fleetproof demo
    """
    from scenarios.demo import demonstrate  # noqa: PLC0415 - the harness loads only here

    console = make_console(stderr=as_json)
    try:
        result = demonstrate(runs, console)
    except HarnessError as e:
        _fail(str(e))
    except KeyboardInterrupt:
        click.echo("fleetproof: interrupted; everything that was started is gone", err=True)
        sys.exit(EXIT_INTERRUPTED)
    findings = result.judgement.findings
    if as_json:
        rows = [{"check": f.check, "outcome": f.outcome, "reason": f.reason} for f in findings]
        answer = {"outcome": result.summary.outcome, "headline": result.summary.headline, "checks": rows}
        click.echo(json.dumps(answer | {"report": str(result.report)}, indent=2))
    else:
        for finding in findings:
            word = verdict_word(finding.outcome, width=12)
            console.print(f"  {word} {finding.check}: {finding.reason}")
        console.print(f"\n{verdict_word(result.summary.outcome)} {result.summary.headline}")
        console.print(f"report: {result.report}")
    codes = {"pass": 0, "fail": EXIT_FAILED}
    sys.exit(codes.get(result.summary.outcome, EXIT_UNDECIDED))


@main.command()
@click.option("--rebuild", metavar="NAME", multiple=True, help="Build this program afresh, whatever the cache holds.")
def toolchain(*, rebuild: tuple[str, ...]) -> None:
    """Find the real servers that scenarios run, or build them from pinned sources.

    \b
    Examples:
      fleetproof toolchain
      fleetproof toolchain --rebuild etcd
    """
    from harness.toolchain import Toolchain, tool_named  # noqa: PLC0415 - loads only here

    try:
        provisioner = Toolchain()
        for name in rebuild:
            provisioner.rebuild(tool_named(name))
        for name, path in provisioner.ensure_all().items():
            click.echo(f"{name}: {path}")
    except HarnessError as e:
        _fail(str(e))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _chosen(names: tuple[str, ...]) -> list[Shape]:
    if names == ("all",):
        return list(SHAPES)
    try:
        return [shape(name) for name in names]
    except KeyError as e:
        _fail(f"no shape {e}; `fleetproof list` shows the ones there are")


def _fail(text: str) -> NoReturn:
    click.echo(f"fleetproof: {text}", err=True)
    sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
