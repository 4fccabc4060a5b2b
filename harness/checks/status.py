"""Checks on what a Deployment's status says, against what devices had acknowledged."""

from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.life import converged_first, started_after
from harness.checks.reference import Shown, World, status_shown, witness_gap
from harness.history import History, Resource


@check
def status_true(history: History) -> Finding:
    """`status-true`: at the end every status says what its devices' acknowledged reports add up to.

    Counts, Ready, the generation observed and whose error is the last.
    """
    name = "status-true"
    world = World.at_end(history)
    if not world.deployments:
        return inconclusive(name, "there is no Deployment")
    if (gap := witness_gap(history)) is not None:
        return inconclusive(name, gap)
    wrong = {
        deployment: f"{deployment} shows {_words(shown)}; its devices add up to {_words(true)}"
        for deployment, resource in world.deployments.items()
        if (shown := status_shown(resource)) != (true := world.status(deployment))
    }
    if not wrong:
        return passed(name, f"what all {len(world.deployments)} statuses say is true")
    lines = [line for line, r in history.numbered(Resource, lambda r: r.kind == "Deployment" and r.name in wrong)]
    return failed(
        name, f"{len(wrong)} of {len(world.deployments)} Deployments: {wrong[min(wrong)]}", lines[-len(wrong) :]
    )


@check_of
def status_true_soon(start: str, limit_s: float) -> Ask:
    """`status-true-within-a-tick`: after mark `start`, status is true and stays so, `limit_s` after convergence."""
    name = "status-true-within-a-tick"

    def ask(history: History) -> Finding:
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
        true = {deployment: world.status(deployment) for deployment in world.deployments}
        since: dict[str, tuple[int, float] | None] = dict.fromkeys(world.deployments)
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
            if resource.name not in since:
                continue
            if status_shown(resource) != true[resource.name]:
                since[resource.name] = None
            elif since[resource.name] is None:
                since[resource.name] = (line, resource.at_s)
        never = sorted(deployment for deployment, moment in since.items() if moment is None)
        if never:
            shown = status_shown(world.deployments[never[0]])
            return failed(
                name,
                f"{len(never)} of {len(since)} statuses never became true after {start}: {never[0]} shows "
                f"{_words(shown)}; its devices add up to {_words(true[never[0]])}",
                [converged[0]],
            )
        line, at_s = max((moment for moment in since.values() if moment is not None), key=lambda moment: moment[1])
        late_s = max(0.0, at_s - converged[1].at_s)
        reason = f"status was true {late_s:.2f} s after convergence (limit {limit_s:g} s)"
        return (passed if late_s <= limit_s else failed)(name, reason, [converged[0], line])

    return ask


def _words(shown: Shown | None) -> str:
    if shown is None:
        return "no status"
    a = shown.aggregate
    counts = f"{a.succeeded} succeeded, {a.pending} pending, {a.failed} failed, {a.stale} stale of {a.matched}"
    error = f", last error of {shown.last_error_device}" if shown.last_error_device else ""
    return f"{counts}, {'ready' if shown.ready else 'not ready'} at generation {shown.observed_generation}{error}"
