"""A new version of the operator writes the same values in other bytes."""

import json

from fleet import fields
from fleet.canonical import Json
from scenarios.defects.defect import Defect


def _patch() -> None:
    def readable(value: Json) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode()

    fields.dumps = readable  # type: ignore[attr-defined] # the name that it imported, not the function


OTHER_ENCODER = Defect(
    name="other-encoder",
    shape="two-operators",
    case="rolling-update",
    check="writes-byte-identical",
    story="An update of the operator brought another JSON library, which puts spaces after colons. All readers took "
    "it, but devices that compare bytes saw a new desired state under each key that the new version touched, and "
    "restarted their containers.",
    patch=_patch,
)
