"""The `fleetproof` command: composition root of the harness.

Exit codes: 0 all passed, 1 something failed, 2 bad input or a missing part, 3 undecided (inconclusive, infra error),
130 interrupted (Ctrl-C or SIGTERM). What ends a command before its verdict is one line on stderr.
"""

import click

from scenarios.commands.bench import bench
from scenarios.commands.catalogue import list_shapes
from scenarios.commands.defects import defects
from scenarios.commands.demo import demo
from scenarios.commands.doctor import doctor
from scenarios.commands.ends import Commands
from scenarios.commands.faults import faults
from scenarios.commands.recheck import recheck
from scenarios.commands.run import run
from scenarios.commands.simulate import simulate
from scenarios.commands.sweep import sweep
from scenarios.commands.toolchain import toolchain


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetproof", prog_name="fleetproof")
def main() -> None:
    """Prove that a device fleet recovers."""


for command in (bench, defects, demo, doctor, faults, list_shapes, recheck, run, simulate, sweep, toolchain):
    main.add_command(command)


if __name__ == "__main__":
    main()
