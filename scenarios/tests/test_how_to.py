"""docs/how-to-write-a-shape.md can't lie: its code is written to a folder, and its commands are run there."""

import re
import shlex
import sys
from pathlib import Path

import scenarios
from scenarios.tests.commands import FLEETPROOF, Footprint, run

PAGE = Path(scenarios.__file__).parent.parent / "docs" / "how-to-write-a-shape.md"
FILE = re.compile(r"^```python\n# (my-scenarios/\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)$", re.MULTILINE)
PROGRAMS = {"fleetproof": FLEETPROOF, "pytest": (sys.executable, "-m", "pytest")}
RED = "--defect"


async def test_the_worked_example_works(footprint: Footprint) -> None:
    """Sound cases pass, the defect is red in the words of the page, the recheck says the same, pytest runs all of it.

    In a folder without any settings, and in the order of the page.
    """
    text = PAGE.read_text(encoding="utf-8")
    files = FILE.findall(text)
    assert [name for name, _ in files] == ["my-scenarios/taken_back.py", "my-scenarios/test_taken_back.py"]
    for name, code in files:
        path = footprint.cwd / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")

    commands = COMMAND.findall(text)
    assert [shlex.split(command)[0] for command in commands] == ["fleetproof"] * 4 + ["pytest"]
    bin_folder = str(Path(sys.executable).parent)
    # Where the page's own paths are.
    changes = {"FLEETPROOF_RUNS": None, "PATH": f"{bin_folder}:/usr/bin:/bin"}
    ended = None
    for command in commands:
        program, *arguments = shlex.split(command)
        ended = await run([*PROGRAMS[program], *arguments], footprint, changes=changes)
        assert ended.code == (1 if RED in arguments else 0), f"{command}\n{ended.text}"
        if RED in arguments:
            (told,) = re.findall(r"`(FAIL keys-left-alone: [^`]*)`", text)
            assert any(told in line for line in ended.out)
    assert ended is not None
    assert any("3 passed" in line for line in ended.out)
    assert footprint.left() == []
