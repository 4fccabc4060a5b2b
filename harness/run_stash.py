"""Where the pytest plugin keeps the run's folder, apart from the plugin: pytest wants to import that one itself."""

from pathlib import Path

import pytest

from harness.artefacts import RunFolder

RUN_FOLDER = pytest.StashKey[RunFolder]()


def run_folder_of(config: pytest.Config) -> Path:
    """The folder of this run; its cases, its report and its Allure results are in it."""
    return config.stash[RUN_FOLDER].path
