"""The page that describes the contract is held to it."""

import re
from pathlib import Path

import pytest

from fleet import rules, wire
from fleet.tests.test_wire_corpus import DECODERS

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json(.*?)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("payload", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_decode(payload: str, text: str) -> None:
    """Each JSON example of the page says which payload it is, and is one."""
    decode = DECODERS[payload.strip()]
    assert decode(decode(text.encode()).encode()) == decode(text.encode())


def test_each_payload_has_an_example() -> None:
    """No payload goes without an example."""
    assert {payload.strip() for payload, _ in EXAMPLES} == set(DECODERS)


def test_the_page_has_the_limits() -> None:
    """Signals, sizes and the limit on all text stand on the page as the code has them."""
    assert all(signal in PAGE for signal in rules.STOP_SIGNALS)
    assert str(rules.SCORE_CHARACTERS_MAX) in PAGE
    sizes = {
        wire.Bucket.DESIRED_STATE: wire.DESIRED_STATE_BYTES_MAX,
        wire.Bucket.DEVICE_INFO: wire.DEVICE_INFO_BYTES_MAX,
        wire.Bucket.DEVICE_STATE: wire.DEVICE_STATE_BYTES_MAX,
        wire.Bucket.DEVICE_HEARTBEAT: wire.HEARTBEAT_BYTES_MAX,
    }
    for bucket, size_bytes in sizes.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{bucket}`"))
        assert f"| {size_bytes // 1024} KiB |" in row
