"""Short commands: what they print, what they complain of, and that none outlives its time."""

import sys

import psutil
import pytest

from harness.errors import ServiceError
from harness.services.tools import run_tool

PYTHON = sys.executable


async def test_what_it_printed_is_the_answer() -> None:
    """Without the end of its last line; nobody types into it."""
    assert await run_tool(PYTHON, "-c", "print(input() if 0 else 'yes')", within_s=20) == "yes"


async def test_a_complaint_is_told_in_its_words() -> None:
    """With the command and its exit code."""
    with pytest.raises(ServiceError, match=r"sys\.exit\('no such network'\): exit code 1: no such network"):
        await run_tool(PYTHON, "-c", "import sys; sys.exit('no such network')", within_s=20)


async def test_a_missing_program_says_how_to_get_it() -> None:
    """One line."""
    with pytest.raises(ServiceError, match="no-such-tool cannot be started: No such file or directory: apt-get it"):
        await run_tool("no-such-tool", within_s=1, enable="apt-get it")


async def test_one_that_does_not_end_is_killed() -> None:
    """And reaped."""
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ServiceError, match=r"did not end within 0\.2 s"):
        await run_tool(PYTHON, "-c", "import time; time.sleep(60)", within_s=0.2)
    assert {child.pid for child in psutil.Process().children()} <= before
