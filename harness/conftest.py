"""For the unit tests of this package: a broker per test, and nothing left of it. Not part of the wheel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.devices.tests.broker import Broker, running_broker
from harness.env import Foundation
from harness.leaks import LeakAudit


@pytest.fixture
async def broker(foundation: Foundation, tmp_path: Path) -> AsyncIterator[Broker]:
    audit = LeakAudit(foundation.warden, toxiproxy=foundation.toxiproxy)
    await audit.before()
    async with running_broker(foundation, tmp_path) as broker:
        yield broker
    await audit.check()
