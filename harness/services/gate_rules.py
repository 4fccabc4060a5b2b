"""Which requests the gate is to do something about."""

import re
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Selects requests: the method (or ANY), and a pattern searched in the path with its query."""

    name: str
    method: str
    path_regex: str

    def matches(self, method: str, path: str) -> bool:
        return self.method in (ANY, method) and re.search(self.path_regex, path) is not None
