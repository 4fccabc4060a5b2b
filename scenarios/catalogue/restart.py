"""The operator dies and comes back: shapes 1, 2, 8 and 20."""

from scenarios.catalogue.shape import Shape

RESTART: tuple[Shape, ...] = (
    Shape(
        number="1",
        id="cold-restart-full-kv",
        title="Cold restart with every bucket full",
        trigger="The operator dies (SIGKILL, SIGTERM, out of memory) while every device has reported; it is started "
        "again, also over a slow, narrow or slicing link to the broker.",
        expected="Status byte for byte the same; 0 desired-state writes, 0 status patches; then one edit of a "
        "Deployment that concerns k devices gives exactly k writes.",
        oracle="Writes by the broker's stream counters, patches by the API server's audit log, status by a watch.",
        risk="high",
        diagram="""\
operator  ==Converged== X         start ..replay.. Converged ===============
broker    [all full]              -> keys, reports, beats
API       [statuses]    SIGKILL   -> objects                    edit of one
writes                  |<------ 0 writes, 0 patches ------->|  k writes""",
    ),
    Shape(
        number="2",
        id="desired-seed-only",
        title="Desired state is there, device state is not",
        trigger="The operator starts where desired-state is full and device-state is empty, or holds nothing of some "
        "devices: they never came, or what they had reported is gone.",
        expected="matched = pending = N; succeeded is never above what was reported; 0 desired-state writes; devices "
        "that report later count as succeeded.",
        oracle="Each version of each status against the reports that the broker had acknowledged by then.",
        risk="high",
        diagram="""\
operator  ====== X                start .replay. Converged ================
desired   [full]                  -> all of it, unchanged
reports   [full]   purged         -> nothing              <- they report
devices   ======   x wiped                                come back =======
status    N succeeded                         N pending         N succeeded""",
    ),
    Shape(
        number="8",
        id="nats-cut-mid-rebuild",
        title="The link to the broker is cut in the middle of a rebuild",
        trigger="While an operator rebuilds its view, each connection to the broker ends after k bytes, k swept over "
        "what a clean restart carries; or half way through a source's replay the link is cut, flaps, is reset, falls "
        "silent or loses packets; keys are purged meanwhile.",
        expected="No source is current before it has seen all that there was; Converged soon after the heal; 0 "
        "desired-state writes, 0 status patches, no consumer left; what was purged is there again.",
        oracle="Bytes and ends of each connection at a relay, /recovery against what the broker's streams and the API "
        "server held, the broker's counters of writes and consumers.",
        risk="high",
        diagram="""\
operator  == TERM  start .replay.. x  retry .. x  retry .replay.. Converged
bytes              0 ............. k| 0 ...... k| healed         (k swept)
broker             -> keys, reports   -> again    -> all of them, from 1
sources            seen 1 2 3 ..   lost 1 2 .. lost 1 2 3 ... N: current
API                      no PATCH, no write, no delete""",
    ),
    Shape(
        number="20",
        id="killed-mid-tick",
        title="Killed in the middle of a status tick",
        trigger="The operator is killed (SIGKILL, SIGTERM, out of memory, at a system call) when its k-th status PATCH "
        "has left it and before the API server has it, for each k that a clean tick makes.",
        expected="Status is true within a tick of the next operator's convergence.",
        oracle="The held request at the HTTP fault point, the audit log, status against the reference model.",
        risk="medium",
        diagram="""\
devices   all of them change at once
operator  tick: PATCH 1, PATCH 2 .. PATCH k X     start .. Converged, tick
gate                                held .. | dropped
API       1 stored, 2 stored        k never comes               all stored
status    1 true, 2 true            others old                  all true""",
    ),
)
