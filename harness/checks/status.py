"""Checks on what a Deployment's status says, against what devices had acknowledged."""

from harness.checks.judge import Check, Finding, failed, inconclusive, passed
from harness.checks.life import converged_first, started_after
from harness.checks.reference import World, status_aggregate, witness_gap
from harness.history import History, Resource


def status_true(history: History) -> Finding:
    """`status-true`: at the end every Deployment's counts are what its devices' acknowledged reports add up to."""
    name = "status-true"
    world = World.at_end(history)
    if not world.deployments:
        return inconclusive(name, "there is no Deployment")
    if (gap := witness_gap(history)) is not None:
        return inconclusive(name, gap)
    wrong = {
        deployment: f"{deployment} shows {shown}, its devices add up to {true}"
        for deployment, resource in world.deployments.items()
        if (shown := status_aggregate(resource)) != (true := world.aggregate(deployment))
    }
    if not wrong:
        return passed(name, f"the counts of all {len(world.deployments)} Deployments are true")
    lines = [line for line, r in history.numbered(Resource, lambda r: r.kind == "Deployment" and r.name in wrong)]
    return failed(
        name, f"{len(wrong)} of {len(world.deployments)} Deployments: {wrong[min(wrong)]}", lines[-len(wrong) :]
    )


def status_true_soon(start: str, limit_s: float) -> Check:
    """`status-true-within-a-tick`: after mark `start`, status is true and stays so, `limit_s` after convergence."""
    name = "status-true-within-a-tick"

    def check(history: History) -> Finding:
        mark = history.mark(start)
        names = started_after(history, mark[0]) if mark is not None else []
        converged = converged_first(history, names[-1]) if names else None
        if converged is None:
            return inconclusive(name, f"the operator that was started after {start} did not converge")
        if (gap := witness_gap(history)) is not None:
            return inconclusive(name, gap)
        world = World.at_end(history)
        if not world.deployments:
            return inconclusive(name, "there is no Deployment")
        since: dict[str, tuple[int, float] | None] = dict.fromkeys(world.deployments)
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
            if resource.name not in since:
                continue
            if status_aggregate(resource) != world.aggregate(resource.name):
                since[resource.name] = None
            elif since[resource.name] is None:
                since[resource.name] = (line, resource.at_s)
        never = sorted(deployment for deployment, moment in since.items() if moment is None)
        if never:
            shown = status_aggregate(world.deployments[never[0]])
            return failed(
                name,
                f"{len(never)} of {len(since)} Deployments never became true after {start}: {never[0]} shows {shown}, "
                f"its devices add up to {world.aggregate(never[0])}",
                [converged[0]],
            )
        line, at_s = max((moment for moment in since.values() if moment is not None), key=lambda moment: moment[1])
        late_s = max(0.0, at_s - converged[1].at_s)
        reason = f"status was true {late_s:.2f} s after convergence (limit {limit_s:g} s)"
        return (passed if late_s <= limit_s else failed)(name, reason, [converged[0], line])

    return check
