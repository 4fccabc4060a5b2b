"""What happens to the broker and its buckets: shapes 9, 10 and 15."""

from scenarios.catalogue.shape import Shape

BROKER: tuple[Shape, ...] = (
    Shape(
        number="9",
        id="stream-loss",
        title="The broker loses what it held",
        trigger="Buckets, each or all, are deleted, deleted and made again by somebody else, or purged, wholly or at "
        "the tail; the server dies and comes back with its store, with an empty one, with a full disk, or on a store "
        "that it cannot write. The operator is up, down or rebuilding.",
        expected="An operator that is up notices by itself. Buckets are made again as the contract has them, wanted "
        "keys are written again soon, devices are asked and say again what they had said. Nobody takes the loss for a "
        "deletion: no delete marker, no object gone, no deployment torn down. Every status is true in the end.",
        oracle="Creation times and counts by the broker; keys by the witness, with those that vanished; reports by the "
        "devices' own operations; desired state and status against the reference model.",
        risk="high",
        diagram="""\
broker     bucket full ----X lost      bucket again ----------------- full
operator   Converged ......|..notices->| makes it, writes  ->| asks
                                         wanted keys         | devices
devices    running ........|...........|.....(no teardown)...| say it again
                           ^
                           deleted, purged, wiped, killed, disk full
K8s        status true .................... no object goes ..... status true""",
    ),
    Shape(
        number="10",
        id="revision-extremes",
        title="Revisions near 2^53, 2^63 and 2^64",
        trigger="Buckets whose streams begin at a revision just below, at or above 2^53, near 2^62, at 2^63 and near "
        "2^64, in a file or in memory; the operator dies and is started again, and a Deployment is edited.",
        expected="As long as the server serves such a stream: a restart costs nothing, and an edit costs exactly what "
        "it concerns. Where the server itself fails (it acknowledges writes and then does not know them): never "
        "Converged in silence; the source is named at /recovery.",
        oracle="The broker's counters, the API server's audit log, and what /recovery said over time.",
        risk="low",
        diagram="""\
revisions  ...2^53-4  2^53-3 | 2^53  2^53+1 ...  all 64 bits are kept
broker     keys written -----+---------------------- one edit: k writes
operator   Converged    X kill   start: 0 writes     (fenced at the exact
                                                      revision)
broker     2^62, 2^64: acknowledges ->  delivers nothing
operator   writes, hears no echo .....| Recovering, "desired-state: ..."
""".rstrip(),
    ),
    Shape(
        number="15",
        id="missing-buckets",
        title="Buckets missing or made otherwise",
        trigger="A fresh broker with the operator first or the agents first; some buckets gone, before the start or "
        "while the operator is up; a bucket that somebody made with another configuration.",
        expected="The operator makes what is missing and mends what differs, without touching what it holds; both "
        "orders of start end in the same world. What cannot be mended is refused, or served and complained of, and "
        "said either way.",
        oracle="Stream configurations read from the broker; desired state and status against the reference model; the "
        "operator's own words.",
        risk="low",
        diagram="""\
broker     no buckets, or some made otherwise
                |           | made, mended    (what they hold stays)
operator   start ---------->+---- Converged --+---> writes keys
                                              v
devices         start: wait for the buckets ->| facts, beats, reports
devices first:  start ....... wait .......... | the same""",
    ),
)
