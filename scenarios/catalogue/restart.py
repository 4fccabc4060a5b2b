"""The operator dies and comes back: shapes 1, 2, 8 and 20."""

from scenarios.catalogue.shape import Shape

RESTART: tuple[Shape, ...] = (
    Shape(
        number="1",
        id="cold-restart-full-kv",
        title="Cold restart with every bucket full",
        trigger="The operator dies (SIGKILL, SIGTERM) while every device has reported; it is started again.",
        expected="Status byte for byte the same; 0 desired-state writes, 0 status patches; then one edit of a "
        "Deployment that concerns k devices gives exactly k writes.",
        oracle="Writes by the broker's stream counters, patches by the API server's audit log, status by a watch.",
        risk="high",
        diagram="",
    ),
    Shape(
        number="20",
        id="killed-mid-tick",
        title="Killed in the middle of a status tick",
        trigger="The operator is killed when its k-th status PATCH has left it and before the API server has it.",
        expected="Status is true within a tick of the next operator's convergence.",
        oracle="The held request at the HTTP fault point, the audit log, status against the reference model.",
        risk="medium",
        diagram="",
    ),
)
