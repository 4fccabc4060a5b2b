"""A malformed key is named in the log each time that it is read, and not once."""

from fleet.operator.books import Books
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = Books.malformed

    def each_time(self: Books, source: str, key: str, reason: str) -> None:
        sound(self, source, key, reason)
        self._log.warning("malformed", source=source, key=key, reason=reason)

    Books.malformed = each_time  # type: ignore[method-assign] # the point of a defect


COMPLAINS_EACH_TIME = Defect(
    name="complains-each-time",
    shape="malformed-device-state",
    case="one-up",
    check="malformed-counted",
    story="One agent of a field test wrote its state in a format of its own, twice a second. The operator warned of "
    "each one, and what it said of everything else went under in a gigabyte of log a day.",
    patch=_patch,
)
