"""What an operator says of entries that it cannot understand: its counter, and its log by the names of the keys.

Both are fleet's own: the counter `fleet_malformed_total` by source, and log lines of JSON with the event `malformed`.
Of another operator nothing is found, and a check that asks for it can say so.
"""

import re
from collections import Counter

import msgspec

from harness.history import Complaints, Recorder
from harness.services.operator import OperatorProcess

_COUNTER = re.compile(r'^fleet_malformed_total\{source="([^"]+)"\} ([0-9.e+]+)$', re.MULTILINE)


class _Line(msgspec.Struct):
    event: str = ""
    source: str = ""
    key: str = ""


_lines = msgspec.json.Decoder(_Line)


async def complaints_of(operator: OperatorProcess, recorder: Recorder) -> Complaints:
    """Read both now. Raises ServiceError if the operator does not answer."""
    _, page = await operator.get("/metrics")
    logged: Counter[str] = Counter()
    for text in operator.process.log_path.read_bytes().splitlines():
        try:
            line = _lines.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            continue
        if line.event == "malformed":
            logged[f"{line.source} {line.key}"] += 1
    return Complaints(
        at_s=recorder.now_s,
        process=operator.process.name,
        counted={source: int(float(number)) for source, number in _COUNTER.findall(page)},
        logged=dict(logged),
    )
