"""`python -m scenarios.defects NAME ARGS...` is `fleet ARGS...` with that defect patched in."""

import sys

from fleet.cli import main
from scenarios.defects import DEFECTS

if len(sys.argv) < 2 or sys.argv[1] not in DEFECTS:  # noqa: PLR2004 - the program and the defect
    sys.exit(f"usage: python -m scenarios.defects NAME ARGS...; names: {', '.join(DEFECTS)}")
DEFECTS[sys.argv[1]].patch()
main(args=sys.argv[2:], prog_name="fleet")
