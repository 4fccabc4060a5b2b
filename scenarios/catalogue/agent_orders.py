"""What an agent is told: deletions, absence, bad values, and the whole way from kubectl."""

from scenarios.catalogue.shape import Shape

AGENT_ORDERS: tuple[Shape, ...] = (
    Shape(
        number="R9",
        id="desired-deleted",
        title="A deployment is deleted, or only seems to be",
        trigger="A delete marker is stored while the agent is there, down, offline or without podman, or the same name "
        "is wanted again at once; a marker or an older value is heard that nobody stored; the bucket is deleted, made "
        "again, purged, its storage wiped or its server killed.",
        expected="A stored marker tears the deployment down: its containers, its report, its files; the others are "
        "not touched. What might be a step back counts if the stream's leader has it stored. Absence is no deletion: "
        "not one container event, and a marker that comes later is obeyed.",
        oracle="Podman's own events; device-state as the broker stored it; the agent's files; the faults' own proofs "
        "that a word was heard and not stored, or that a bucket is gone.",
        risk="high",
        diagram="""\
bucket   web, other --- marker(web) --------------- lost X .. empty .. new
                            |                             |        |
agent    both run     leader read: stored?     reads: no such key  | marker
                       yes |    no: told only       |              |
                           v         v              v              v
podman   web  =============X stop, remove  ==========================X
         other =================================================== untouched""",
    ),
    Shape(
        number="R11",
        id="bad-desired",
        title="Desired state that is no good",
        trigger="A value is stored that cannot be understood (no JSON, no UTF-8, unknown fields, wrong types, 500 "
        "services, a megabyte), or that cannot be done here (an image that there is not, a port that is taken); as the "
        "next generation of what runs, or as the first word of a deployment; or a sound one under a key that names "
        "nothing. It is told, read at a start, and read again.",
        expected="The last good runs on, untouched; the report says why, with a reason for machines, under the owner "
        "of what it is about. Attempts are few. Of a first word nothing is made, nothing reported; it is logged once. "
        "A sound value heals, and so does what was in the way once it goes.",
        oracle="Podman's own events; device-state as the broker stored it; the lines of the agent's log.",
        risk="medium",
        diagram="""\
bucket   gen 1 (v1) --- gen 2: {"owner": ... spoilt --------- gen 2 (v2)
                        |                                     |
agent    Running        refused: Failed, DesiredRefused(1)    taken
                        |  read again: not a word more        |
podman   v1 ==================================================X
                                                           v2 ===========
                        (image missing, port taken: tried 1, 2, 4 s later)""",
    ),
    Shape(
        number="R12",
        id="end-to-end",
        title="From kubectl to containers, and back to status",
        trigger="With the real kubectl, operator, broker, agents and podman on two devices, which are objects before "
        "or register by themselves: a Deployment is applied, edited and deleted; one device is blocked, and unblocked.",
        expected="succeeded=2 after the apply and after the edit, which rolls on both devices. Blocked, a device loses "
        "its containers. Deleted, nothing is left: object, keys, containers, reports, files. A Deployment beside it is "
        "not touched.",
        oracle="Status as the API server stored it; podman's own events on both devices; the keys of desired-state and "
        "device-state; the agents' files.",
        risk="high",
        diagram="""\
kubectl    apply --------- edit ----------- block edge-2 --- delete
             |              |                 |                |
operator     keys (2)       keys (2)          key purged       key purged
             |              |                 |                |
edge-1     v1 ============X v2 =================================X
edge-2     v1 ============X v2 ===============X
status     succeeded=2      succeeded=2       succeeded=1      gone""",
    ),
)
