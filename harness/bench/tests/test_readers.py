"""What is read from others: the audit log, a page of a list, the kernel's account of a process."""

import json
import os
from pathlib import Path

import pytest

from harness.bench.audit import answered_since
from harness.bench.contestants.list_drain import continue_token
from harness.bench.usage import Usage, usage_of
from harness.errors import ServiceError


def line(verb: str, name: str = "", *, sub: str = "", namespace: str = "w", code: int = 200) -> str:
    event = {
        "verb": verb,
        "requestReceivedTimestamp": "2026-11-21T12:00:01.500000Z",
        "userAgent": "fleet-operator",
        "objectRef": {"resource": "deployments", "subresource": sub, "namespace": namespace, "name": name},
        "responseStatus": {"code": code},
    }
    return json.dumps(event) + "\n"


def test_the_audit_log_is_read_from_a_mark(tmp_path: Path) -> None:
    """Only complete lines of this namespace, from the mark on; a refused write is a write, but stored nothing."""
    log = tmp_path / "audit.log"
    log.write_text(line("create", "early"))
    mark = log.stat().st_size
    with log.open("a") as more:
        more.write(line("patch", "app", sub="status") + line("patch", "app", sub="status", code=409))
        more.write(line("patch", "app") + line("get", "app") + line("patch", "x", namespace="other") + '{"verb": "cut')
    found = answered_since(log, mark, "w")
    assert [(a.verb, a.is_write, a.patched_status) for a in found] == [
        ("patch", True, True),
        ("patch", True, False),
        ("patch", True, False),
        ("get", False, False),
    ]
    assert found[0].at_s % 60 == 1.5


def test_a_line_that_is_no_event_is_an_error(tmp_path: Path) -> None:
    """Silence is never taken for a count."""
    log = tmp_path / "audit.log"
    log.write_text("no event\n")
    with pytest.raises(ServiceError, match="not an audit event"):
        answered_since(log, 0, "w")


@pytest.mark.parametrize(
    ("metadata", "token"),
    [('{"continue":"eyJ2Ijoi","resourceVersion":"7"}', "eyJ2Ijoi"), ('{"resourceVersion":"7"}', "")],
)
def test_the_next_page_is_found_at_the_end(metadata: str, token: str) -> None:
    """In the list's metadata, behind any number of items."""
    body = '{"apiVersion":"v1","items":[' + '{"a":"b"},' * 2000 + '{"a":"b"}],"kind":"DeviceList","metadata":'
    assert continue_token((body + metadata + "}\n").encode()) == token


def test_usage_grows() -> None:
    """CPU seconds of all threads since an earlier look; the peak is of the whole life."""
    before = usage_of(os.getpid())
    assert before.rss_max_bytes > 1_000_000
    assert usage_of(os.getpid()).since(before).cpu_s >= 0
    assert Usage(3.0, 9).since(Usage(1.0, 7)) == Usage(2.0, 9)
