"""`fleetproof demo`: one recovery, shown."""

import json
from pathlib import Path

import click

from scenarios.commands.ends import end_by
from scenarios.running.console import make_console, verdict_word


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="Folder that gets a folder per run.")
def demo(*, as_json: bool, runs: Path | None) -> None:
    """Kill a real operator under write load and prove its recovery; two minutes at most, once the parts are built.

    \b
    Example:
      fleetproof demo
    """
    from scenarios.running.demo import demonstrate  # noqa: PLC0415 - the harness loads only here

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
    end_by(result.summary.outcome)
