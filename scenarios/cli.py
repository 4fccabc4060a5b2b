"""The `fleetproof` command: composition root of the harness.

Exit codes: 0 all passed, 1 something failed, 2 bad input or a missing part, 3 undecided (inconclusive, infra error),
130 interrupted (Ctrl-C or SIGTERM). What ends a command before its verdict is one line on stderr.
"""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.table import Table

from harness.errors import HarnessError
from scenarios.bench_cli import bench
from scenarios.catalogue import SHAPES, Shape, shape
from scenarios.console import make_console, verdict_word
from scenarios.defects import DEFECTS, defects_of

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNDECIDED = 3
EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """What a person can mend or asked for ends the process with one line, not with usage or a traceback."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as e:
        path = e.ctx.command_path if e.ctx is not None else "fleetproof"
        _fail(f"{' '.join(e.format_message().split()).removesuffix('.')}; see `{path} --help`")
    except HarnessError as e:
        _fail(str(e))
    except KeyboardInterrupt:
        click.echo("fleetproof: interrupted; everything that was started is gone", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as Ctrl-C does: whoever handles that one (asyncio, pytest) cleans up."""
    signal.raise_signal(signal.SIGINT)


class _Commands(click.Group):
    """The commands, and the one place that says how they end when they do not come to their verdict."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        signal.signal(signal.SIGTERM, _interrupt)
        # Ignored where a shell started us in the background, and then SIGTERM would be, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with _one_line():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetproof", prog_name="fleetproof")
def main() -> None:
    """Prove that a device fleet recovers."""


main.add_command(bench)


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
        table.add_column(heading, overflow="fold")
    for c in CAPABILITIES:
        result = results[c.name]
        there = isinstance(result, Available)
        found = result.detail if isinstance(result, Available) else f"{result}\nto enable: {c.enable}"
        table.add_row("[green]yes[/]" if there else "[yellow]no[/]", c.name, found, c.used_for)
    console.print(table)


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_shapes(*, as_json: bool) -> None:
    """List the recovery shapes, what must hold, and the defects that each catches.

    \b
    Example:
      fleetproof list --json
    """
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
        table.add_row(s.number, s.id, s.expected, "\n".join(d.name for d in defects_of(s.id)))
    make_console(stderr=False).print(table)


@main.command()
@click.argument("shapes", metavar="ID...", nargs=-1, required=True)
@click.option("--case", "cases", multiple=True, help="Only this case (repeatable).")
@click.option("--defect", type=click.Choice(sorted(DEFECTS)), help="Run on the product with this defect: it is red.")
@click.option("-n", "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--operator", metavar="COMMAND", help="Another operator that honours docs/contract.md.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def run(
    shapes: tuple[str, ...],
    *,
    cases: tuple[str, ...],
    defect: str | None,
    operator: str | None,
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
      fleetproof run all --operator "/opt/other/operator --verbose"
    """
    from scenarios.runner import Selection, execute  # noqa: PLC0415 - pytest and the harness load only here

    if defect is not None and operator is not None:
        _fail("--defect patches our own operator: it goes without --operator")
    selection = Selection([s.id for s in _chosen(shapes)], cases, defect, operator, workers, runs)
    if defect is not None and DEFECTS[defect].shape not in selection.shapes:
        _fail(f"{defect} is a defect of {DEFECTS[defect].shape}, which was not chosen")
    console = make_console(stderr=as_json)
    done = execute(selection, console)
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
    result = demonstrate(runs, console)
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

    provisioner = Toolchain()
    for name in rebuild:
        provisioner.rebuild(tool_named(name))
    for name, path in provisioner.ensure_all().items():
        click.echo(f"{name}: {path}")


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
