"""The check that an operator which cannot know says so: with the name of what it cannot read or write."""

from typing import cast

from harness.checks.heal import living_at_end
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.life import CONVERGED
from harness.checks.reference import World, status_shown
from harness.history import History, Process, Recovery, Resource


@check_of
def named_in_time(source: str, start: str, limit_s: float) -> Ask:
    """`never-converged-in-silence`: `limit_s` after mark `start` an operator has told what is wrong, and tells it on.

    For a broker that takes writes of a bucket and does not know them afterwards. By then, and until the end, either
    /recovery is not Converged and names the source with a reason, or a Deployment's Synced condition is False and its
    message names it.
    """
    name = "never-converged-in-silence"

    def ask(history: History) -> Finding:
        mark, living = history.mark(start), living_at_end(history)
        if mark is None or not living:
            return inconclusive(name, f"the history has no mark {start}, or no operator lives at its end")
        if _served(history):
            return inconclusive(name, f"every device runs what it should: the broker served {source}", [mark[0]])
        moments = [_recovering_since(history, operator, source) for operator in living]
        told = [moment for moment in moments if moment is not None]
        if len(told) < len(living):
            complained = _complained_since(history, source)
            if complained is None:
                last = next((r for r in reversed(history.of(Recovery)) if r.process == living[-1]), None)
                phase = f"{living[-1]} is {last.phase} at the end" if last else f"{living[-1]} never answered"
                return failed(name, f"{phase} and nothing names {source}, though the fleet does not run", [mark[0]])
            told.append(complained)
        line, at_s = max(told, key=lambda moment: moment[1])
        late_s = max(0.0, at_s - mark[1].at_s)
        reason = f"{source} was named for good {late_s:.2f} s after {start} (limit {limit_s:g} s)"
        return (passed if late_s <= limit_s else failed)(name, reason, [mark[0], line])

    return ask


@check_of
def refused_to_start(code: int, words: str) -> Ask:
    """`refused-to-start`: every operator ended by itself with this exit code, and said why with these words."""
    name = "refused-to-start"

    def ask(history: History) -> Finding:
        ended = list(history.numbered(Process, lambda p: p.event == "exited" and p.name.startswith("operator")))
        if not ended or living_at_end(history):
            return failed(name, "an operator runs on, on a broker that it cannot work with")
        wrong = [(line, p) for line, p in ended if p.exit_code != code or words not in p.last_words]
        if wrong:
            line, process = wrong[0]
            reason = f"{process.name} ended with {process.exit_code}, not with {code} and '{words}'"
            return failed(name, reason, [line])
        return passed(name, f"{len(ended)} operators ended with {code}: {words}", [line for line, _ in ended])

    return ask


@check_of
def complains_of(source: str, words: str) -> Ask:
    """`complains-of-bucket`: an operator said these words of a source, at /recovery, while that was not current."""
    name = "complains-of-bucket"

    def ask(history: History) -> Finding:
        said: list[str] = []
        for line, recovery in history.numbered(Recovery):
            progress = recovery.sources.get(source)
            if progress is None or progress.current or not progress.trouble:
                continue
            if words in progress.trouble:
                return passed(name, f"{recovery.process} says: {progress.trouble}", [line])
            said.append(progress.trouble)
        return failed(name, f"nobody said '{words}' of {source}; said was {sorted(set(said)) or 'nothing'}")

    return ask


def _recovering_since(history: History, operator: str, source: str) -> tuple[int, float] | None:
    """Since when an operator has been Recovering with a complaint about the source; None if it is not at the end."""
    since: tuple[int, float] | None = None
    for line, recovery in history.numbered(Recovery, lambda r: r.process == operator):
        progress = recovery.sources.get(source)
        if recovery.phase == CONVERGED or progress is None or progress.current or not progress.trouble:
            since = None
        elif since is None:
            since = (line, recovery.at_s)
    return since


def _complained_since(history: History, source: str) -> tuple[int, float] | None:
    """Since when one of the statuses has said that writes of the source fail; None if none does at the end."""
    since: dict[str, tuple[int, float]] = {}
    for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
        conditions = cast("list[dict[str, object]]", resource.status.get("conditions") or [])
        synced = next((c for c in conditions if c.get("type") == "Synced"), {})
        if synced.get("status") == "False" and source in str(synced.get("message")):
            since.setdefault(resource.name, (line, resource.at_s))
        else:
            since.pop(resource.name, None)
    return min(since.values(), key=lambda moment: moment[1], default=None)


def _served(history: History) -> bool:
    world = World.at_end(history)
    shown = {name: status_shown(resource) for name, resource in world.deployments.items()}
    return bool(shown) and all(s is not None and s.ready and s == world.status(name) for name, s in shown.items())
