"""A desired state of another format raises what nobody expects."""

from fleet import wire
from fleet.errors import WireError
from fleet.operator.decoding import DesiredDecoder
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = DesiredDecoder.decode

    def decode(self: DesiredDecoder, data: bytes) -> wire.DesiredState:
        try:
            return sound(self, data)
        except WireError as e:
            raise KeyError("owner") from e

    DesiredDecoder.decode = decode  # type: ignore[method-assign] # the point of a defect


CRASH_ON_FORMAT = Defect(
    name="crash-on-format",
    shape="malformed-desired-state",
    case="missing-field-up",
    check="no-crash",
    story="A value of the version before last had no owner. Nobody else writes this bucket, so its fields were read "
    "without a look, and the operator ended with a KeyError, again and again, until somebody deleted the key.",
    patch=_patch,
)
