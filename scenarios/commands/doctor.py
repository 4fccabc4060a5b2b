"""`fleetproof doctor`: what this machine can do."""

import json

import click
from rich.table import Table

from scenarios.running.console import make_console


@click.command()
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
