"""What goes on while the operator rebuilds its view: shapes 14, 16 and 17."""

from scenarios.catalogue.shape import Shape

REBUILD: tuple[Shape, ...] = (
    Shape(
        number="14",
        id="write-load-during-rebuild",
        title="Devices write while the operator rebuilds",
        trigger="Hundreds of devices report hundreds of times a second, some of them of events older than what they "
        "told before; the operator is killed and started again under that load, once or twice.",
        expected="Converged within 30 s; no key is written again; the last event by event time wins, of equal times "
        "the one stored last.",
        oracle="The devices' acknowledged reports with their event times, against every status; /recovery; the "
        "broker's counters.",
        risk="medium",
        diagram="""\
devices   -e3-e2-e5-e4-e7-e6-e9-e8-e11-e10-...-e12-------e11   event times
broker     *  *  *  *  *  *  *  *   *   *       *         *    as stored
operator  =====X          [start]-replay-Converged==========
               |<------- at most 30 s ------->|
status    true..........................................true...e11 is older""",
    ),
    Shape(
        number="16",
        id="cr-mutation-during-rebuild",
        title="Objects change during the rebuild",
        trigger="Deployments and Devices are created, edited and deleted while an operator starts: before its list, "
        "between its list and its watch, while it replays the buckets, at the instant of its convergence.",
        expected="The end state is that of the same edits under an operator that was up all the time.",
        oracle="A clean run of the same workload beside it: keys with their scores, statuses and objects, times and "
        "uids apart. The held request at the HTTP fault point shows the moment.",
        risk="medium",
        diagram="""\
admin          edit         edit            edit              edit
                 |            |               |                 |
API server   [list] ------ [watch]
operator   X-[start]-list---watch---|-replay of a bucket-|-Converged====> A
clean run  ==== the same edits, and nobody dies ========================> B
                               A and B are alike, times and uids apart""",
    ),
    Shape(
        number="17",
        id="heartbeat-only",
        title="Heartbeats and nothing else",
        trigger="Devices beat and there is no Deployment: a fresh operator or a restarted one, Devices that are "
        "registered or not, many beats a second, beats of candidates, of strangers, malformed ones.",
        expected="The operator is idle: no object and no key is written while there are only beats. The first "
        "Deployment that comes then finds all devices, and none of them silent.",
        oracle="Writes of objects by the API server's audit log, beats and keys by the broker's counters; in the end "
        "the reference model.",
        risk="low",
        diagram="""\
devices     b b b b b b b b b b b b b b b b b b b b b b b   heartbeats
by hand           ?  {"  c                                  odd ones
operator    ====X      [start]-replay-Converged==========
API server  |<--------- no write at all --------->|a first Deployment
status                                             .......true""",
    ),
)
