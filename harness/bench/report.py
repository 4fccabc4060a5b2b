"""A benchmark's answer as rows of text, heading first: for people; machines take the JSON. Pure."""

from harness.history.records import Json
from harness.services.kube_answers import mapping

Rows = list[list[str]]

_MIB = 1024 * 1024


def cold_start_rows(answer: Json) -> tuple[Rows, list[str]]:
    """One row per contestant, and what to say below them."""
    rows = [["contestant", "seconds", "least to most", "CPU s", "start-up s", "peak MiB"]]
    for name, contestant in mapping(answer["contestants"]).items():
        found = mapping(contestant)
        rows.append(
            [
                name,
                _middle(found["seconds"], 3),
                _range(found["seconds"], 3),
                _middle(found["cpu_s"], 2),
                _middle(found["startup_s"], 2),
                _mib(found["rss_max_bytes"]),
            ]
        )
    what = f"{answer['devices']} devices, {answer['deployments']} deployments, {answer['pairs']} pairs"
    seen = f"{answer['rounds']} rounds; all saw the same state ({answer['digest']})"
    bare = f"{answer['ratio_to_bare']} x the slowest bare drain ({answer['slowest_bare']})"
    both = f"{answer['ratio_to_both']} x both at once"
    return rows, [f"{what}; {seen}", f"{bare}, {both}; the twin takes {answer['twin_over_ours']} x as long"]


def state_change_rows(answer: Json) -> tuple[Rows, list[str]]:
    """One row per fleet, and what to say below them."""
    rows = [["devices", "CPU µs a change", "least to most", "at rest", "changes/s", "patches", "changed", "peak MiB"]]
    for name, fleet in mapping(answer["fleets"]).items():
        found = mapping(fleet)
        rows.append(
            [
                name,
                _middle(found["cpu_s_per_change"], 1, scale=1e6),
                _range(found["cpu_s_per_change"], 1, scale=1e6),
                _middle(found["idle_cpu_s_per_s"], 4),
                _middle(found["rate_per_s"], 0),
                str(found["patches"]),
                str(found["changed_pairs"]),
                _mib(found["rss_max_bytes"]),
            ]
        )
    small, large = mapping(answer["fleets"])
    return rows, [f"a change costs {answer['cpu_ratio_100k_over_1k']} x as much at {large} devices as at {small}"]


def suite_rows(answer: Json) -> tuple[Rows, list[str]]:
    """One row per suite, and what to say below them."""
    rows = [["suite", "seconds"], *([name, str(total)] for name, total in mapping(answer["suite_s"]).items())]
    notes = [
        f"{answer['cases']} cases take {answer['suite_over_naive']} x what they take alone in fresh environments",
        f"a clean world costs {answer['reset_over_start']} x the first start of {answer['start_s']} s",
    ]
    missed = answer["not_passed"]
    if isinstance(missed, list) and missed:
        notes.append(f"not passed: {', '.join(map(str, missed))}")
    return rows, notes


def agent_rows(answer: Json) -> tuple[Rows, list[str]]:
    """One row per way of starting a container, and what to say below them."""
    rows = [["start of a container", "seconds", "least to most"]]
    for name, spread in (("KV write", answer["kv_to_container_s"]), ("podman run", answer["podman_run_s"])):
        rows.append([name, _middle(spread, 3), _range(spread, 3)])
    ratio = f"from the KV write it takes {answer['kv_to_container_over_podman_run']} x `podman run`"
    notes = [f"{answer['rounds']} rounds of one specification ({answer['config_digest']}): {ratio}"]
    for name, idle in mapping(answer["idle"]).items():
        found = mapping(idle)
        notes.append(
            f"idle for {answer['idle_s']} s ({name}): {found['cpu_percent']} % of a core, {found['rss_mib']} MiB"
        )
    return rows, notes


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _middle(spread: object, digits: int, scale: float = 1.0) -> str:
    return f"{_number(mapping(spread)['median']) * scale:.{digits}f}"


def _range(spread: object, digits: int, scale: float = 1.0) -> str:
    found = mapping(spread)
    return f"{_number(found['min']) * scale:.{digits}f} to {_number(found['max']) * scale:.{digits}f}"


def _mib(size_bytes: object) -> str:
    return f"{_number(size_bytes) / _MIB:.0f}"
