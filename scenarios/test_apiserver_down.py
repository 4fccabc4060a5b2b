"""Family: trouble with the API server. Shape 19, where its own processes die."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from harness.checks.heal import converged_after_heal
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.struck import struck_while
from harness.checks.writes import exactly_one_write_each, wanted_keys_present
from harness.checks.wrong_world import fleet_kept
from harness.env import Environment
from harness.faults.apiserver_killed import ApiserverKilled
from harness.faults.etcd_killed import EtcdKilled
from harness.faults.fault import Fault
from harness.faults.http_point import LISTS
from harness.faults.kill import Kill
from harness.services.gate import Rule
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, edit_image, start_settled, wait_status_true

SIZE = Size(8, 4)
# The longest pause between two attempts, and a list.
SOON_S = 10.0
# In the middle of a rebuild: its first list has left the operator and has not arrived.
LIST = Rule("rebuild", LISTS.rule.method, LISTS.rule.path_regex)
Part = Literal["etcd", "apiserver"]


@dataclass(frozen=True, slots=True)
class Down:
    """The parts that die, in this order; they come back in the same."""

    parts: Sequence[Part]


@pytest.mark.own_cluster
@cases(
    "apiserver-away-mid-rebuild",
    {
        "apiserver-killed": Down(("apiserver",)),
        "etcd-killed": Down(("etcd",)),
        "both-killed": Down(("etcd", "apiserver")),
    },
)
async def test_apiserver_down(env: Environment, case: Down) -> None:
    """The API server or its store dies while an operator rebuilds, and the rebuild is done once they are back.

    SETUP   8 devices and 4 deployments, all running
    ACTION  end the operator, start the next; SIGKILL to the parts while its list stands still; start them again; edit
    ASSERT  no exit, no key touched, Converged soon after; the edit gives exactly one write per device that it concerns
    """
    operator, _ = await start_settled(env, SIZE)
    await env.mark("trouble")
    held = env.gate.hold(LIST, 1)
    kill = Kill(operator, env.start_operator)
    await env.strike(kill)
    await env.mend(kill)
    await held.reached(CONVERGE_S)
    await env.mark("rebuilding")
    env.step("action", f"SIGKILL to {' and '.join(case.parts)} while a list of the rebuild stands still")
    dead: list[Fault] = [
        EtcdKilled(env.foundation.kube) if part == "etcd" else ApiserverKilled(env.foundation.kube)
        for part in case.parts
    ]
    for fault in dead:
        await env.strike(fault)
    held.release()
    env.gate.disarm(LIST)
    for fault in dead:
        await env.mend(fault)
    with still_judged():
        if kill.successor is not None:
            await kill.successor.wait_converged(CONVERGE_S)
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("back")

    edited = SIZE.deployment_names[0]
    env.step("action", f"edit the image of {edited}")
    await edit_image(env, edited, "registry.example/app:2")
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "nobody exited, nothing was written but what the edit concerns, and all of it is true")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            struck_while("Recovering", "rebuilding"),
            no_unexpected_exit,
            converged_after_heal(SOON_S),
            fleet_kept("trouble", "back"),
            exactly_one_write_each("back", "settled", edited, SIZE.selected(0)),
            wanted_keys_present,
            status_true,
        )
    )
