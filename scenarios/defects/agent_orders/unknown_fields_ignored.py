"""Fields that the agent does not know are passed over, as in any other JSON."""

from fleet.fields import Fields
from scenarios.defects.defect import Defect


def _patch() -> None:
    def never_mind(*_: object, **__: object) -> None:
        return

    Fields.done = never_mind  # type: ignore[method-assign] # the point of a defect


UNKNOWN_FIELDS_IGNORED = Defect(
    name="unknown-fields-ignored",
    shape="bad-desired",
    case="unknown-field-deep",
    check="untouched",
    story="A newer operator had learned to restrict what a container may do. Older agents read past that field, and "
    "ran the container unrestricted, with a report that said Running.",
    patch=_patch,
    part="agent",
)
