"""A footprint per test: what its commands leave is looked at by the test, and gone after it either way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scenarios.tests.commands import Footprint


@pytest.fixture
async def footprint(tmp_path: Path) -> AsyncIterator[Footprint]:
    footprint = Footprint(tmp_path / "of-the-command")
    yield footprint
    await footprint.kill()
