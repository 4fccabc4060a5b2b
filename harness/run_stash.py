"""What the pytest plugin keeps for others, apart from the plugin: pytest wants to import that one itself."""

from pathlib import Path

import pytest

from harness.artefacts import RunFolder

RUN_FOLDER = pytest.StashKey[RunFolder]()
LEFT_OVERS = pytest.StashKey[list[str]]()
"""A line for each earlier run that was killed: what was cleared after it."""


def run_folder_of(config: pytest.Config) -> Path:
    """The folder of this run; its cases, its report and its Allure results are in it."""
    return config.stash[RUN_FOLDER].path
