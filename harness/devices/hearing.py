"""What devices hear, whoever plays them: delete markers, and the operator's request to publish everything again."""

from collections.abc import Mapping

import msgspec
from nats.aio.msg import Msg

OPERATION = "KV-Operation"


class _Ask(msgspec.Struct):
    """The operator asks each device to say all it has, at a time of its own within the window."""

    window_s: float


def is_marker(headers: Mapping[str, str] | None) -> bool:
    """Whether a message with these headers says that its key was deleted."""
    return OPERATION in (headers or {})


def republish_window_s(message: Msg, most_s: float) -> float | None:
    """Within how many seconds all is to be said again, `most_s` at most; None if the request makes no sense."""
    try:
        window_s = msgspec.json.decode(message.data, type=_Ask).window_s
    except msgspec.MsgspecError:
        return None
    return min(window_s, most_s) if window_s >= 0 else None
