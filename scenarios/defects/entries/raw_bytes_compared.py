"""Values are compared byte by byte with what the operator would write, and not by what they say."""

from fleet import wire
from fleet.errors import WireError
from fleet.operator.decoding import DesiredDecoder
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = DesiredDecoder.decode

    def decode(self: DesiredDecoder, data: bytes) -> wire.DesiredState:
        value = sound(self, data)
        if value.encode() != data:
            raise WireError("not the bytes that we write")
        return value

    DesiredDecoder.decode = decode  # type: ignore[method-assign] # the point of a defect


RAW_BYTES_COMPARED = Defect(
    name="raw-bytes-compared",
    shape="malformed-desired-state",
    case="other-key-order-up",
    check="rewritten-once",
    story="An update of the JSON library wrote keys in another order. On the day of the update every key of the fleet "
    "was written again, and every device was told of a change that was none.",
    patch=_patch,
)
