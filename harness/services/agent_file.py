"""The agent as a device has it: the one file that `fleet agent build` makes, and a Python without any packages."""

import sys
from pathlib import Path
from typing import Final

from harness.services.tools import run_tool

_BUILT_WITHIN_S: Final = 60.0


async def build_agent_file(path: Path, *, version: str) -> Path:
    """Make it at `path`, in a process of its own as a person would. Raises ServiceError with what that said."""
    command = (sys.executable, "-m", "fleet", "agent", "build", "--version", version, "--output", str(path))
    await run_tool(*command, within_s=_BUILT_WITHIN_S)
    return path


def plain_python() -> str:
    """The Python that ours was made from: none of the packages around us is seen from there."""
    return str(Path(sys.base_prefix) / "bin" / "python3")
