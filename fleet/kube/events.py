"""Events on our custom resources: what an admin sees at the end of `kubectl describe`. Pure: no I/O, no clock.

An event's name follows from what it says. So it is there once, however many operators say it and however often one
restarts; the API server forgets it after an hour (its default), and then it may be said again.
"""

import hashlib
from datetime import UTC, datetime
from typing import Literal

from fleet.crds import API_VERSION, Resource

# What the API server admits in the newer form of an Event; in this one it sets no limit, and readers expect one.
_MESSAGE_BYTES_MAX = 1024
_NAME_CHARACTERS_MAX = 253
_DIGEST_CHARACTERS = 16


def event_body(
    resource: Resource,
    name: str,
    uid: str,
    *,
    namespace: str,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    component: str,
    at: datetime,
) -> dict[str, object]:
    """Return the body of a core/v1 Event on the object `name`, to be created in its namespace.

    `reason` is one CamelCase word, `message` a sentence; one that is too long is cut. `at` is an aware time.
    """
    digest = hashlib.sha256(f"{uid}\n{reason}\n{message}".encode("utf-8", "replace")).hexdigest()
    suffix = f".{digest[:_DIGEST_CHARACTERS]}"
    time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name[: _NAME_CHARACTERS_MAX - len(suffix)].rstrip("-.") + suffix,
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": resource.kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        },
        "type": kind,
        "reason": reason,
        "message": _cut(message),
        "source": {"component": component},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def _cut(message: str) -> str:
    data = message.encode("utf-8", "replace")
    if len(data) > _MESSAGE_BYTES_MAX:
        return data[: _MESSAGE_BYTES_MAX - 3].decode("utf-8", "ignore") + "..."
    return data.decode()
