"""The check that a link was cut at the byte that the case means, and while somebody was still recovering."""

from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.checks.life import CONVERGED, started_after
from harness.history import History, LinkEnd, Process, Recovery


@check_of
def cut_while_recovering(start: str, link: str, limit_bytes: int = 0) -> Ask:
    """`cut-while-recovering`: a connection of the link ended on its server's side before convergence.

    That of the operator which was started last after mark `start`; with `limit_bytes`, after exactly so many bytes.
    """
    name = "cut-while-recovering"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        operators = started_after(history, mark[0]) if mark is not None else []
        if not operators:
            return inconclusive(name, f"no operator was started after {start} and left alone")
        spawned = next(n for n, p in history.numbered(Process) if p.name == operators[-1] and p.event == "spawned")
        said = history.numbered(Recovery, lambda r: r.process == operators[-1] and r.phase == CONVERGED)
        converged = next(said, None)
        until = len(history.records) + 1 if converged is None else converged[0]
        ends = [
            (line, end)
            for line, end in history.numbered(LinkEnd, lambda end: end.link == link and end.by == "server")
            if spawned < line < until and limit_bytes in (0, end.carried_bytes)
        ]
        if not ends:
            after = f" after {limit_bytes} bytes" if limit_bytes else ""
            reason = f"no connection of {link} was cut{after} while {operators[-1]} was recovering"
            return inconclusive(name, reason, [spawned])
        carried = ", ".join(sorted({str(end.carried_bytes) for _, end in ends}, key=int))
        reason = (
            f"{len(ends)} connections of {link} were cut after {carried} bytes while {operators[-1]} was recovering"
        )
        return passed(name, reason, [line for line, _ in ends])

    return ask
