"""Faults of a process."""

from harness.faults import out_of_memory as memory
from harness.faults import syscall
from harness.faults.fault import Fault
from harness.faults.out_of_memory import OutOfMemory
from harness.faults.syscall import FailCall, KillAtCall
from scenarios.exhibits.exhibit import Exhibit, Stage


async def out_of_memory(stage: Stage) -> Fault:
    return OutOfMemory(stage.operator, stage.env.start_operator, stage.env.foundation.warden)


async def kill_at_call(stage: Stage) -> Fault:
    env = stage.env
    return KillAtCall(stage.operator, "sendto", 5, restart=env.start_operator, warden=env.foundation.warden)


async def fail_call(stage: Stage) -> Fault:
    return FailCall(stage.operator, "sendto", "ECONNRESET", nth=3, warden=stage.env.foundation.warden)


PROCESS: tuple[Exhibit, ...] = (
    Exhibit("out-of-memory", "the kernel kills the operator for want of memory", out_of_memory, (memory.CAPABILITY,)),
    Exhibit(
        "kill-at-call",
        "the operator dies at its 5th sendto, before it has any effect",
        kill_at_call,
        (syscall.CAPABILITY,),
    ),
    Exhibit("fail-call", "the operator's 3rd sendto fails with ECONNRESET", fail_call, (syscall.CAPABILITY,)),
)
