"""The check on an operator in which something unexpected was raised: it has to end, in the right order."""

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.history import Fault, History, Process, Readiness

PANIC = "status-panic"
_READY = 200
_OPERATOR = "operator"
_ENDING = frozenset({"SIGKILL", "SIGTERM", "SIGINT"})


@check_of
def crash_only(within_s: float) -> Ask:
    """`crash-only`: each operator that panicked exits by itself with a code that is not 0, `within_s` after that.

    And /readyz, asked all the time, had said that it is not ready before it was gone. No operator without a panic
    exits by itself.
    """
    name = "crash-only"

    def ask(history: History) -> Finding:
        panics = list(history.numbered(Fault, lambda f: f.name == PANIC and f.event == "applied"))
        if not panics:
            return inconclusive(name, "nothing was made to panic")
        ended = _ended_by_themselves(history)
        lines: list[int] = []
        for line, panic in panics:
            end = ended.pop(panic.target, None)
            if end is None:
                return failed(name, f"{panic.target} lived on after the panic, with one of its loops dead", [line])
            lines += [line, end[0]]
            problem = _problem(history, panic, line, end, within_s)
            if problem is not None:
                return failed(name, f"{panic.target} {problem}", [line, end[0]])
        if ended:
            other, (line, process) = min(ended.items())
            return failed(name, f"{other} exited with {process.exit_code} without a panic", [line])
        return passed(name, f"{len(panics)} panics, each followed by an exit that is an error, unready first", lines)

    return ask


def _problem(history: History, panic: Fault, line: int, end: tuple[int, Process], within_s: float) -> str | None:
    """What is wrong with the way in which one operator ended, if anything is."""
    exited_line, exited = end
    # Armed may be long before raised: the proof tells when it was seen to be raised.
    raised_s = next((f.at_s for n, f in history.numbered(Fault) if n > line and _proves(f, panic)), panic.at_s)
    said = history.numbered(Readiness, lambda r: r.process == panic.target and r.status not in (0, _READY))
    if exited.exit_code == 0:
        return "exited with 0 after the panic: nobody would know"
    if not any(line < number < exited_line for number, _ in said):
        return "was gone without having said on /readyz that it is not ready"
    if exited.at_s - raised_s > within_s:
        return f"exited {exited.at_s - raised_s:.2f} s after the panic (limit {within_s:g} s)"
    return None


def _proves(fault: Fault, panic: Fault) -> bool:
    return (fault.name, fault.target, fault.event) == (panic.name, panic.target, "proved-active")


def _ended_by_themselves(history: History) -> dict[str, tuple[int, Process]]:
    """The operators that exited and were not told to, with the line of their exit."""
    told: set[str] = set()
    ended: dict[str, tuple[int, Process]] = {}
    for line, process in history.numbered(Process, lambda p: p.name.startswith(_OPERATOR)):
        if process.event == "signalled" and process.signal in _ENDING:
            told.add(process.name)
        elif process.event == "exited" and process.name not in told:
            ended[process.name] = (line, process)
    return ended
