"""A history drawn as data: which lanes there are, from top to bottom, and which instants cross them all. Pure."""

from harness.history import History, Mark, Process
from reports.html.containers import containers_lane
from reports.html.model import Flag, Timeline
from reports.html.rates import desired_writes_lane, device_writes_lane, other_operations_lane, status_patches_lane
from reports.html.scale import END_S_MIN, Bins
from reports.html.spans import faults_lane, processes_lane, recovery_lane, steps_lane
from reports.html.text import clip

BINS_MAX = 240
FLAGS_MAX = 60
FLAG_LABEL_MAX = 36


def timeline(history: History) -> Timeline:
    """Lays out a whole history. Size is bounded by the constants above and in `spans`, whatever the history holds."""
    end_s = max((record.at_s for record in history.records), default=0.0)
    end_s = max(end_s, END_S_MIN)
    bins = Bins.over(end_s, BINS_MAX)
    containers = containers_lane(history, end_s)
    other = other_operations_lane(history, bins)
    flags = _flags(history)
    return Timeline(
        end_s=end_s,
        lanes=(
            steps_lane(history, end_s),
            faults_lane(history, end_s),
            processes_lane(history, end_s),
            *((containers,) if containers else ()),
            recovery_lane(history, end_s),
            device_writes_lane(history, bins),
            desired_writes_lane(history, bins),
            status_patches_lane(history, bins),
            *((other,) if other else ()),
        ),
        flags=tuple(flags[:FLAGS_MAX]),
        flags_left_out=max(0, len(flags) - FLAGS_MAX),
    )


def _flags(history: History) -> list[Flag]:
    flags: list[Flag] = []
    for record in history.records:
        match record:
            case Process(event="signalled", signal="SIGKILL"):
                flags.append(Flag(record.at_s, f"SIGKILL {clip(record.name, FLAG_LABEL_MAX)}", "bad"))
            case Mark():
                flags.append(Flag(record.at_s, clip(record.name, FLAG_LABEL_MAX), "note"))
            case _:
                pass
    return sorted(flags, key=lambda flag: flag.at_s)
