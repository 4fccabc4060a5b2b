"""The shared corpus: files that any implementation of the contract must accept or refuse alike."""

from pathlib import Path

import pytest
import yaml

from fleet import wire
from fleet.errors import WireError
from fleet.tests.strategies import Decoder

CORPUS = Path(__file__).parent / "corpus"
DECODERS: dict[str, Decoder] = {
    wire.Bucket.DESIRED_STATE: wire.decode_desired_state,
    wire.Bucket.DEVICE_STATE: wire.decode_device_state,
    wire.Bucket.DEVICE_INFO: wire.decode_device_info,
    wire.Bucket.DEVICE_HEARTBEAT: wire.decode_heartbeat,
}
GOOD = sorted(CORPUS.glob("good/*/*.json"))
BAD = sorted(CORPUS.glob("bad/*/*.json"))
REASONS: dict[str, dict[str, str]] = yaml.safe_load((CORPUS / "bad" / "reasons.yaml").read_text(encoding="utf-8"))


def _id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", GOOD, ids=_id)
def test_good(path: Path) -> None:
    """A good file decodes, survives a round trip, and a canonical one comes back byte for byte."""
    decode = DECODERS[path.parent.name]
    data = path.read_bytes().removesuffix(b"\n")
    payload = decode(data)
    assert decode(payload.encode()) == payload
    assert (payload.encode() == data) == path.stem.startswith("canonical")


@pytest.mark.parametrize("path", BAD, ids=_id)
def test_bad(path: Path) -> None:
    """A bad file is refused in one short line that gives its reason."""
    with pytest.raises(WireError) as refusal:
        DECODERS[path.parent.name](path.read_bytes().removesuffix(b"\n"))
    message = str(refusal.value)
    assert REASONS[path.parent.name][path.stem] in message
    assert "\n" not in message
    assert len(message) < 400


def test_every_reason_has_its_file() -> None:
    """The reasons and the files are the same set, and each payload has files of both kinds."""
    assert {f"{payload}/{name}" for payload, names in REASONS.items() for name in names} == {_id(path) for path in BAD}
    assert {path.parent.name for path in GOOD} == {path.parent.name for path in BAD} == set(DECODERS)
