"""The shapes as data: what is injected, what must hold, what goes wrong where it does not (DESIGN §7, seed 001)."""

from dataclasses import dataclass
from typing import Literal

Risk = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One recovery shape. `id` is short and stable; `oracle` says what the verdict is read from."""

    number: int
    id: str
    title: str
    trigger: str
    expected: str
    oracle: str
    risk: Risk


SHAPES = (
    Shape(
        number=1,
        id="cold-restart-full-kv",
        title="Cold restart with every bucket full",
        trigger="The operator dies (SIGKILL, SIGTERM) while every device has reported; it is started again.",
        expected="Status byte for byte the same; 0 desired-state writes, 0 status patches; then one edit of a "
        "Deployment that concerns k devices gives exactly k writes.",
        oracle="Writes by the broker's stream counters, patches by the API server's audit log, status by a watch.",
        risk="high",
    ),
    Shape(
        number=7,
        id="two-operators",
        title="Two operators at once",
        trigger="Two operators side by side, as in a rolling update, while selectors, images, labels and objects "
        "change; one of them is stopped (SIGSTOP) and continued at random times.",
        expected="Every delete is justified by what was wanted after the deleted revision was stored; no wanted key is "
        "absent for long; no status goes back; in the end every key and every status is right.",
        oracle="The objects' versions with the API server's stamps, every stored revision with the broker's, and the "
        "reference model.",
        risk="high",
    ),
    Shape(
        number=15,
        id="missing-buckets",
        title="Buckets missing or made otherwise",
        trigger="A fresh broker with the operator first or the agents first; some buckets gone; a bucket that somebody "
        "made with another configuration.",
        expected="The operator makes what is missing and mends what differs, without touching what it holds; both "
        "orders of start end in the same world.",
        oracle="Stream configurations read from the broker; desired state and status against the reference model.",
        risk="low",
    ),
    Shape(
        number=20,
        id="killed-mid-tick",
        title="Killed in the middle of a status tick",
        trigger="The operator is killed when its k-th status PATCH has left it and before the API server has it.",
        expected="Status is true within a tick of the next operator's convergence.",
        oracle="The held request at the HTTP fault point, the audit log, status against the reference model.",
        risk="medium",
    ),
)


def shape(shape_id: str) -> Shape:
    """By id or by number. Raises KeyError."""
    for candidate in SHAPES:
        if shape_id in (candidate.id, str(candidate.number)):
            return candidate
    raise KeyError(shape_id)
