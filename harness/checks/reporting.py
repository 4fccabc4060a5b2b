"""Checks on what agents report, by device-state as the broker stored it, and on their own lives."""

from fleet.errors import WireError
from fleet.wire import (
    Bucket,
    DeviceState,
    Phase,
    decode_desired_state,
    decode_device_state,
    parse_desired_key,
    parse_state_key,
)
from harness.checks.container_lives import Life, lives
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.window import until
from harness.history import History, KvEntry, Process

_AGENT = "-agent-"
_ENDING = frozenset({"SIGKILL", "SIGTERM", "SIGINT"})

Reports = dict[tuple[str, str], tuple[int, DeviceState | None]]
"""By device and deployment: the line of the last report, and the report; None once it was withdrawn."""


@check
def agent_worked(history: History) -> Finding:
    """`agent-worked`: on each device an agent was started, made a container run, and reported Running."""
    name = "agent-worked"
    devices = _devices(history)
    if not devices:
        return inconclusive(name, "no agent was started")
    started = {life.slot.device for life in lives(history) if life.runs}
    told: dict[str, int] = {}
    for line, device, _, report in stored_reports(history):
        if report is not None and report.phase is Phase.RUNNING:
            told.setdefault(device, line)
    for device in sorted(devices):
        if device not in started or device not in told:
            what = "reported nothing as Running" if device in started else "started no container"
            return inconclusive(name, f"the agent of {device} {what}: nothing was shown about it")
    return passed(name, f"{len(devices)} agents made containers run and said so", sorted(told.values()))


@check
def no_agent_exit(history: History) -> Finding:
    """`no-crash`: no agent ended that was not told to, and whose device kept its power."""
    name = "no-crash"
    hosts = _devices(history)
    told: set[int] = set()
    without_power: set[str] = set()
    crashed: list[tuple[int, Process]] = []
    lives_count = 0
    for line, process in history.numbered(Process):
        device, _, life = process.name.rpartition(_AGENT)
        if process.name in hosts:
            # Its first process: with it goes whatever runs there.
            (without_power.discard if process.event == "spawned" else without_power.add)(process.name)
        elif not device or not life:
            continue
        elif process.event == "spawned":
            lives_count += 1
            told.discard(process.pid)
        elif process.event == "signalled" and process.signal in _ENDING:
            told.add(process.pid)
        elif process.event == "exited" and process.pid not in told and device not in without_power:
            crashed.append((line, process))
    if not lives_count:
        return inconclusive(name, "no agent was started")
    if crashed:
        first = crashed[0][1]
        words = f": {first.name} with {first.exit_code} {first.last_words[-300:]}".rstrip()
        return failed(
            name, f"{len(crashed)} of {lives_count} agents ended by themselves{words}", [n for n, _ in crashed]
        )
    return passed(name, f"{lives_count} agents, none ended by itself")


@check_of
def reported(device: str, deployment: str, phase: Phase, reason: str = "", *, at: str = "") -> Ask:
    """`reported`: the last report of this deployment says that phase, and that reason in its error.

    Without a reason one that is Running or Pending has no error. `at` is a mark: what had been reported by then.
    """
    name = "reported"

    def ask(history: History) -> Finding:
        if at:
            by_then = until(history, at)
            if by_then is None:
                return inconclusive(name, f"the history has no mark {at}")
            history = by_then
        line, report = last_reports(history).get((device, deployment), (0, None))
        if report is None:
            return failed(name, f"{device} reports nothing of {deployment}", [line] if line else [])
        error = report.last_error or ""
        said = f"{device} reports {deployment} as {report.phase}{error and ': '}{error}"
        wanted = f"{phase}{reason and ', '}{reason}"
        right = report.phase is phase and (
            reason in reasons_of(error) if reason else phase is Phase.FAILED or not error
        )
        return (passed if right else failed)(name, said if right else f"{said}; wanted was {wanted}", [line])

    return ask


@check_of
def never_reported(device: str, deployment: str, phase: Phase, start: str) -> Ask:
    """`never-reported`: no report of this deployment after mark `start` says that phase."""
    name = "never-reported"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        told = [
            (line, report)
            for line, of, what, report in stored_reports(history)
            if line > mark[0] and (of, what) == (device, deployment) and report is not None
        ]
        wrong = [(line, report) for line, report in told if report.phase is phase]
        if wrong:
            reason = f"{device} reported {deployment} as {phase} after {start}: {wrong[0][1].last_error or 'no error'}"
            return failed(name, reason, [line for line, _ in wrong])
        if not told:
            return inconclusive(name, f"{device} reported nothing of {deployment} after {start}")
        return passed(name, f"{len(told)} reports of {deployment} after {start}, none of them {phase}", [mark[0]])

    return ask


@check_of
def ids_reported(device: str) -> Ask:
    """`ids-reported`: the ids in the device's last reports are those of its containers, by podman's events.

    Of what is reported Running these are exactly the ids that run; of anything else they are ids of containers that
    are there. Of a deployment about which nothing is reported any more nothing is there.
    """
    name = "ids-reported"

    def ask(history: History) -> Finding:
        reports = {deployment: told for (of, deployment), told in last_reports(history).items() if of == device}
        if not reports:
            return inconclusive(name, f"{device} never reported anything")
        count = 0
        for deployment, (line, report) in sorted(reports.items()):
            there = [
                life for life in lives(history) if (life.slot.device, life.slot.deployment) == (device, deployment)
            ]
            wrong = _wrong_ids(report, [life for life in there if life.removed is None])
            if wrong is not None:
                return failed(name, f"{deployment} on {device}: {wrong}", [line])
            count += 0 if report is None else len(report.container_ids)
        return passed(name, f"{device} reports {count} container ids, each of them true")

    return ask


@check_of
def reports_up_to_date(device: str) -> Ask:
    """`reports-up-to-date`: each last report of the device names the owner in the key that it is about."""
    name = "reports-up-to-date"

    def ask(history: History) -> Finding:
        reports, count = last_reports(history), 0
        for line, entry in _last_entries(history, Bucket.DESIRED_STATE).values():
            try:
                pair = parse_desired_key(entry.key)
                desired = None if entry.operation == "delete" else decode_desired_state(entry.value.encode())
            except WireError:
                continue
            if pair.device != device:
                continue
            told, report = reports.get((pair.device, pair.deployment), (0, None))
            lines = [line, told] if told else [line]
            if (report is None) != (desired is None):
                what = "nothing is reported" if report is None else "a report is left"
                return failed(name, f"{pair.deployment} on {device}: {what}", lines)
            if report is not None and desired is not None and report.owner != desired.owner:
                was, should = report.owner, desired.owner
                words = f"reported for {was.uid} generation {was.generation}, not {should.uid} {should.generation}"
                return failed(name, f"{pair.deployment} on {device}: {words}", lines)
            count += 1
        if not count:
            return inconclusive(name, f"nothing is desired of {device}")
        return passed(name, f"{count} keys of {device}, and each is reported about as it is now")

    return ask


def stored_reports(history: History) -> list[tuple[int, str, str, DeviceState | None]]:
    """(line, device, deployment, report) of each that the broker stored; None where one was withdrawn."""
    found = []
    for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DEVICE_STATE):
        try:
            pair = parse_state_key(entry.key)
            report = None if entry.operation == "delete" else decode_device_state(entry.value.encode())
        except WireError:
            continue
        found.append((line, str(pair.device), str(pair.deployment), report))
    return found


def last_reports(history: History) -> Reports:
    return {(device, deployment): (line, report) for line, device, deployment, report in stored_reports(history)}


def reasons_of(error: str) -> list[str]:
    """The words of a `last_error` at a place where a reason stands: behind the service, or first."""
    return [word.strip() for word in error.split(":")[:2]]


def _devices(history: History) -> set[str]:
    """Those on which an agent was started."""
    return {p.name.rpartition(_AGENT)[0] for p in history.of(Process) if p.event == "spawned" and _AGENT in p.name}


def _wrong_ids(report: DeviceState | None, there: list[Life]) -> str | None:
    if report is None:
        return f"nothing is reported, and {there[0].short} is there" if there else None
    told = dict(report.container_ids)
    if report.phase is Phase.RUNNING:
        runs = {life.slot.service: life.id for life in there if life.running}
        return None if told == runs else f"reported is {_short(told)}, and {_short(runs)} runs"
    ids = {(life.slot.service, life.id) for life in there}
    false = sorted(set(told.items()) - ids)
    return f"reported is {_short(dict(false))}, which is not there" if false else None


def _short(ids: dict[str, str]) -> str:
    return ", ".join(f"{service}={id_[:12]}" for service, id_ in sorted(ids.items())) or "nothing"


def _last_entries(history: History, bucket: Bucket) -> dict[str, tuple[int, KvEntry]]:
    return {entry.key: (line, entry) for line, entry in history.numbered(KvEntry, lambda e: e.bucket == bucket)}
