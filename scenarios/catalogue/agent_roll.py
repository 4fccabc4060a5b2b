"""What an agent rolls forward: from one version to the next. Shapes R1 to R4."""

from scenarios.catalogue.shape import Shape

AGENT_ROLL: tuple[Shape, ...] = (
    Shape(
        number="R1",
        id="roll-forward",
        title="From one version to the next",
        trigger="The score of a deployment changes, once, twice or three times at once: image, command, env, volumes, "
        "ports (kept, moved, swapped), resources, stop signal or grace, one of two services, the generation alone, the "
        "health check alone.",
        expected="What runs is made as the last order says. Each new container is created before the old one is "
        "stopped, and started after it ended: never two at once. What the order does not concern is not touched, by "
        "ticks neither. No report says Failed.",
        oracle="Podman's own log of events, `podman inspect` of what runs at the end, device-state as the broker "
        "stored it.",
        risk="high",
        diagram="""\
order     v1        v2                                 v3
agent     ==Running=  image? create    stop   start  remove    ...
v1        ============================ died            x
v2                           created          ========================= died
side      ==============================================================
report    Running     Pending                 Running   Pending   Running""",
    ),
    Shape(
        number="R2",
        id="bad-version",
        title="A version that cannot run",
        trigger="A v2 whose image is nowhere, whose volume has no source, whose host port somebody else holds, whose "
        "program does not exist, or which ends by itself at once or after a second; then a v3 that can run.",
        expected="Failed, with the right reason. Where that shows before the stop v1 runs on untouched; else it is "
        "never started again. What ends is started again after pauses that double. v3 mends each.",
        oracle="Podman's own log of events; phase and reason in device-state.",
        risk="high",
        diagram="""\
order     v1      v2: no image                       v3
v1        ========================================== died
v2                no create, try again ..                    v3 ===========
order     v1      v2: ends by itself                 v3
v1        ======= died           (never again)
v2                ==x  1 s  ==x    2 s    ==x  4 s ..  gone  v3 ===========
report    Running Failed: Exited .................   Running""",
    ),
    Shape(
        number="R3",
        id="sigterm-ignored",
        title="How the old one is stopped",
        trigger="The old container ignores SIGTERM, needs half of its grace to end, or heeds another signal; the order "
        "that replaces it changes the signal and the grace in the same moment.",
        expected="It gets its own stop signal and its own grace, those it was created with; SIGKILL when that is over "
        "and not before. A stop that takes long holds up no other service.",
        oracle="Exit code and time of `died` in podman's own log of events, from the order on.",
        risk="high",
        diagram="""\
order     v1: SIGTERM, 2 s      v2: SIGTERM, 0 s
agent                           create v2, stop v1
v1        ====================== TERM ........ 2 s ........ KILL, 137
v2                              created                     ===============
side      ====================== died =====================================""",
    ),
    Shape(
        number="R4",
        id="service-dropped",
        title="A service that is ordered no more",
        trigger="A score without one of its services, with another one in its place, at its host port, or under "
        "another name; the one that goes may ignore SIGTERM.",
        expected="Its container is stopped as its own lifecycle has it, and removed; the others are not touched; what "
        "is new runs.",
        oracle="Podman's own log of events, device-state.",
        risk="medium",
        diagram="""\
order     main, side            main, other
main      =================================================================
side      ====================== TERM .. died, removed
other                            created       ============================
report    Running               Pending        Running: main, other""",
    ),
)
