"""`python -m scenarios.defects [--from FILE] NAME ARGS...` is `fleet ARGS...` with that defect patched in.

With `--from` the defect is one that this Python file has, or imports; its folder is on the path, as in a test run.
"""

import runpy
import sys
from pathlib import Path

from fleet.cli import main
from scenarios.defects import DEFECTS
from scenarios.defects.defect import Defect

found, args = DEFECTS, sys.argv[1:]
if args[:1] == ["--from"] and len(args) > 1:
    file, args = Path(args[1]).resolve(), args[2:]
    sys.path.insert(0, str(file.parent))
    found = {value.name: value for value in runpy.run_path(str(file)).values() if isinstance(value, Defect)}
if not args or args[0] not in found:
    sys.exit(f"usage: python -m scenarios.defects [--from FILE] NAME ARGS...; names: {', '.join(found)}")
found[args[0]].patch()
main(args=args[1:], prog_name="fleet")
