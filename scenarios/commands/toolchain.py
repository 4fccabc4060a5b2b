"""`fleetproof toolchain`: the real servers."""

import click


@click.command()
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
