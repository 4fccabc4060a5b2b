"""What an operator says of malformed entries, read from its counter and its log."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness.devices.tests.broker import DEADLINE_S
from harness.env import Foundation
from harness.errors import ServiceError
from harness.history import Recorder
from harness.observers.complaints import complaints_of
from harness.services.operator import OperatorProcess

# Complains of one key twice and of another once, among lines of other kinds.
COMPLAINS = r"""
import http.server, os, sys
lines = [
    '{"event": "malformed", "source": "device-state", "key": "state.a.b", "reason": "x"}',
    '{"event": "malformed", "source": "device-state", "key": "state.a.b", "reason": "y"}',
    '{"event": "malformed", "source": "desired-state", "key": "d\\u00e9", "reason": "z"}',
    '{"event": "started", "key": "state.a.b"}', '{"event": "malformed", "source": 5}', 'no JSON at all', '[]',
]
print("\n".join(lines), flush=True)
os.write(1, b'{"event": "malformed", "key": "\xff"}\n')
PAGE = b'''# TYPE fleet_malformed_total counter
fleet_malformed_total{source="device-state"} 2.0
fleet_malformed_total{source="desired-state"} 1e+03
fleet_other_total{source="device-state"} 9.0
'''
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE if self.path == "/metrics" else b'{"phase": "Converged", "sources": {}}')
    def log_message(self, *_):
        pass
host, _, port = os.environ["FLEET_HTTP_ADDR"].rpartition(":")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "history.jsonl")
    yield recorder
    recorder.close()


@pytest.fixture
async def operator(foundation: Foundation, recorder: Recorder, tmp_path: Path) -> AsyncIterator[OperatorProcess]:
    operator = await OperatorProcess.start(
        [sys.executable, "-c", COMPLAINS],
        name="operator-1",
        nats_url="",
        kubeconfig=tmp_path / "none",
        namespace="none",
        folder=tmp_path,
        warden=foundation.warden,
        recorder=recorder,
    )
    await operator.wait_answering(DEADLINE_S)
    yield operator
    await operator.close()


async def test_counter_and_log(operator: OperatorProcess, recorder: Recorder) -> None:
    """Counts by source, lines by source and key; whatever else stands there is passed over."""
    told = await complaints_of(operator, recorder)
    recorder.add(told)
    assert told.process == "operator-1"
    assert told.counted == {"device-state": 2, "desired-state": 1000}
    assert told.logged == {"device-state state.a.b": 2, "desired-state dé": 1}


async def test_one_that_does_not_answer(operator: OperatorProcess, recorder: Recorder) -> None:
    """One clear error."""
    await operator.process.kill()
    with pytest.raises(ServiceError, match="does not answer /metrics"):
        await complaints_of(operator, recorder)
