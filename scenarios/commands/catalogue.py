"""`fleetproof list`: the catalogue, for people, for machines, and as a page."""

import json

import click
from rich.table import Table

from scenarios.catalogue import SHAPES
from scenarios.defects import DEFECTS, defects_of
from scenarios.running.console import make_console


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--markdown", is_flag=True, help="The page docs/scenarios.md.")
def list_shapes(*, as_json: bool, markdown: bool) -> None:
    """List the recovery shapes, what must hold, their cases, and the defects that each catches.

    \b
    Examples:
      fleetproof list
      fleetproof list --json
      fleetproof list --markdown > docs/scenarios.md
    """
    from scenarios.page import page  # noqa: PLC0415 - the tests, and the harness with them, load only here
    from scenarios.pinned import pinned  # noqa: PLC0415 - see above

    if as_json and markdown:
        raise click.UsageError("--json or --markdown, not both")
    tests = pinned()
    if markdown:
        click.echo(page(SHAPES, tests, list(DEFECTS.values())), nl=False)
        return
    cases = {s.id: [case for test in tests if test.shape.id == s.id for case in test.cases] for s in SHAPES}
    if as_json:
        rows = [
            {"number": s.number, "id": s.id, "title": s.title, "risk": s.risk}
            | {"trigger": s.trigger, "expected": s.expected, "oracle": s.oracle, "cases": cases[s.id]}
            | {"defects": [{"name": d.name, "check": d.check, "story": d.story} for d in defects_of(s.id)]}
            for s in SHAPES
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "id", "what must hold", "cases", "defects it catches"):
        table.add_column(heading, justify="right" if heading == "cases" else "left")
    for s in SHAPES:
        names = "\n".join(d.name for d in defects_of(s.id))
        table.add_row(s.number, s.id, s.expected, str(len(cases[s.id])), names)
    make_console(stderr=False).print(table)
