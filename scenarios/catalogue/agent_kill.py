"""An agent that is killed in the middle of a roll."""

from scenarios.catalogue.shape import Shape

AGENT_KILL: tuple[Shape, ...] = (
    Shape(
        number="R6",
        id="killed-mid-roll",
        title="The agent is killed in the middle of a roll",
        trigger="While one service changes, one is dropped and one is new, the agent gets a SIGKILL: before a chosen "
        "system call (the file of the desired state, each request to podman, the report on disk and on its way), or "
        "at an event of podman's; twice in a row; without a broker afterwards; or a second agent waits beside it.",
        expected="The next agent ends in the state of a roll that nobody disturbed. No service runs twice at any time, "
        "no new container is started twice or ended, nothing else is touched; of two agents one acts.",
        oracle="Podman's own events, stored reports and heartbeats, the agent's system calls followed from outside.",
        risk="high",
        diagram="""\
order   v2 stored
agent 1   |-> file -> create v2 -> stop v1 -> X
agent 2                              SIGKILL    look -> start v2 -> report
v1        ================================|
v2                    (made)                              ===============
other     ===============================================================""",
    ),
)
