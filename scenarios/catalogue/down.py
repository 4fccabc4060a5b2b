"""What changes while no operator is there: shapes 3, 4, 5 and 6."""

from scenarios.catalogue.shape import Shape

DOWN: tuple[Shape, ...] = (
    Shape(
        number="3",
        id="device-offline",
        title="Devices without power",
        trigger="Devices that had reported lose their power while the operator is down or up; one, several, all of "
        "them; their beats deleted by hand; a device that never came; nobody reaches the broker for longer than the "
        "limit.",
        expected="Without power they count as stale and as nothing else, as soon as anybody can know; what they never "
        "reported about is pending; once they are back their last report counts again. Silence of the broker makes no "
        "device stale.",
        oracle="The power as the harness switched it, proved by the beats that the broker stored; each version of "
        "each status.",
        risk="high",
        diagram="""\
operator  ===X             [start]--replay--Converged--tick---------tick
devices   beat beat -off-                                    -on- beat
broker    o    o                                                  o
status    succeeded........................................stale..succeeded
                    |<------- limit of silence ------->|""",
    ),
    Shape(
        number="4",
        id="deployment-deleted-while-down",
        title="Deployments deleted while no operator is there",
        trigger="Deployments are deleted while the operator is down: with their finalizers pending, or by force; one, "
        "several, all; while some of their devices have no power; made again under the same name.",
        expected="Exactly their keys get a delete marker, devices tear down, objects that waited are let go, every "
        "other key keeps its revision. A sweep of more than max(20, 5 %) keys, or after an empty list, waits until it "
        "is approved.",
        oracle="Every value and marker that the broker stored, against what the objects ask for; /recovery; what "
        "devices withdrew.",
        risk="high",
        diagram="""\
operator    ===X                     [start]-replay-Converged--sweep
API server       delete app-00                             let go app-00
broker      app-00 *........................................# delete markers
devices     run app-00......................................tear down
brake                                         many: |--held--approved|""",
    ),
    Shape(
        number="5",
        id="device-deleted-while-down",
        title="Devices deleted while no operator is there",
        trigger="Devices are deleted while the operator is down: with their finalizers pending, by force with their "
        "device-info deleted too, by force with it kept; live or wiped, blocked before, made again, registered again.",
        expected="With the finalizer: their keys and all that they had published are deleted, then they are let go. By "
        "force: keys of a device that left no trace are swept, and the brake holds many; one that is still there is "
        "registered with the labels of its device-info, and its keys keep their revisions as far as they are wanted.",
        oracle="Every value and marker that the broker stored, against what the objects ask for; a look into the "
        "buckets; the versions of each Device.",
        risk="medium",
        diagram="""\
operator     ===X                    [start]-replay-Converged
API server        delete device-0  (a) let go  (b) -  (c) made again
device-info       (a) kept  (b) gone  (c) kept
its keys     * * ..................(a) # #    (b) # # (c) * * as before
others       * * * ................* * * as before        # delete marker""",
    ),
    Shape(
        number="6",
        id="selector-change-while-down",
        title="Selectors, labels and blocks change while no operator is there",
        trigger="While the operator is down selectors shrink, grow, move, come back; labels of devices change; devices "
        "are blocked and unblocked; images change at the same time.",
        expected="Who is selected now gets its key, who is not any more gets a delete marker, each once; all other "
        "keys keep their revisions. A sweep beyond the brake waits; what a blocked device gives back does not.",
        oracle="Every value and marker that the broker stored, against what the objects asked for before and after.",
        risk="high",
        diagram="""\
operator    ===X                       [start]-replay-Converged
API server       selector h0 -> s0
device-0    *    h0 s0 ................. * as before
device-1         h1 s0 ................. + written once
device-4    *    h0 s1 ................. # delete marker, tear down""",
    ),
)
