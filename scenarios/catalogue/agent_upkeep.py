"""What an agent keeps running: ticks, deaths, power, a runtime that is away."""

from scenarios.catalogue.shape import Shape

AGENT_UPKEEP: tuple[Shape, ...] = (
    Shape(
        number="R5",
        id="ticks-idempotent",
        title="The agent looks, and all is as it should be",
        trigger="A service with a command, env, ports and volumes runs. The agent looks at podman a thousand times; it "
        "is killed, stopped, or another one takes over; the broker or podman restarts; the network is cut; the same "
        "score is written as a new generation.",
        expected="No event of any container; the ids in device-state are those of podman.",
        oracle="Podman's own events; the agent's requests counted at a fault point before podman's socket.",
        risk="high",
        diagram="""\
agent     look look look look  X  start  look look look look look ....
podman      -> same  -> same          -> same     -> same
container ================================================================
events    |<---------------------- none ------------------------------->|""",
    ),
    Shape(
        number="R7",
        id="container-dies",
        title="A container ends, or somebody lays hands on it",
        trigger="The payload is killed, ends with 0, ends with 1 again and again; the container is removed, stopped, "
        "paused or renamed by hand; a stranger has the name that it is to get, or just stands beside it.",
        expected="Started again under its id, after pauses that grow; made again if it is gone. What is paused or "
        "renamed is left alone, and so is every stranger.",
        oracle="Podman's own events with their times, device-state.",
        risk="high",
        diagram="""\
container ====X  1 s  ==X  2 s  ==X   4 s    ==X      8 s
agent         start     start     start        start       (the same id)
reports   Running  Failed: Exited .........................
by hand   rm -f -> made again    pause, rename -> left alone""",
    ),
    Shape(
        number="R8",
        id="power-loss",
        title="The device loses its power",
        trigger="All is settled, or a roll stands at any of its steps, when the power goes. The device boots with the "
        "broker, without it, or with the agent's files gone; or while the new version cannot be made.",
        expected="What was desired runs soon after the boot, also without a broker; nothing runs twice; a container "
        "that runs is not touched; the last good runs until its replacement can be made.",
        oracle="Podman's own events, the end of the machine's first process, requests held before podman.",
        risk="high",
        diagram="""\
desired   v1 ... v2
old       =========|=====|==x            (step: create, stop, start, remove)
new             create   stop  start=====
power     ================X        boot  =================================
after     the agent goes on from what podman lists: v2 runs, v1 is gone""",
    ),
    Shape(
        number="R10",
        id="podman-away",
        title="Podman does not answer",
        trigger="Podman's service is stopped while all is settled, in the middle of a roll, at the agent's start; it "
        "is killed while it creates, starts or stops a container; its socket takes requests and says nothing.",
        expected="Nothing is concluded: phase and ids stay as reported, with RuntimeAway. It is asked again with "
        "growing pauses, and the work goes on once it is back.",
        oracle="Podman's own events, device-state, requests counted at a fault point before podman's socket.",
        risk="medium",
        diagram="""\
podman    =========x  (stopped, killed, silent)   back ===================
agent     looks    ? .. ? .... ? ........ ?       goes on where it stood
container ================================================================
reports   Running  Running, RuntimeAway           Running""",
    ),
)
