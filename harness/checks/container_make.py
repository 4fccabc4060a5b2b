"""Checks on what containers were made of: an edit of any field of a service reaches the container that replaces it.

A case looks into what runs and writes that down, as the runtime tells it; podman's events name only the image.
"""

import json
from collections.abc import Mapping
from typing import cast

from fleet.errors import WireError
from fleet.wire import Bucket, Lifecycle, Service, decode_desired_state, parse_desired_key
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.history import History, KvEntry, Op

LOOKED = "look into a container"
"""The operation by which a case tells what `podman inspect` says; its target is `device/deployment/service`."""

Facts = Mapping[str, object]
"""Of one container, by the name of what was looked at."""

# What images, podman and the OCI runtime add by themselves.
_NOT_ORDERED = frozenset({"PATH", "VERSION", "TERM", "HOME", "HOSTNAME", "container"})
_SIGNALS = {"SIGTERM": 15, "SIGINT": 2, "SIGQUIT": 3, "SIGHUP": 1, "SIGUSR1": 10, "SIGUSR2": 12, "SIGKILL": 9}
_NANO_PER_MILLI = 1_000_000


def facts_of(inspection: Mapping[str, object]) -> Facts:
    """What of one object of `podman inspect` an order can say, in plain values."""
    config, host = cast("Facts", inspection["Config"]), cast("Facts", inspection["HostConfig"])
    variables = dict(text.split("=", 1) for text in cast("list[str]", config["Env"] or []))
    mounts = cast("list[Facts]", inspection["Mounts"] or [])
    ports = cast("Mapping[str, list[Mapping[str, str]] | None]", host["PortBindings"] or {})
    return {
        "image": inspection["ImageName"],
        "command": [inspection["Path"], *cast("list[str]", inspection["Args"] or [])],
        "env": {name: value for name, value in sorted(variables.items()) if name not in _NOT_ORDERED},
        "volumes": sorted(
            [mount.get("Name") or mount["Source"], mount["Destination"], not mount["RW"]] for mount in mounts
        ),
        "ports": sorted(
            [inside, int(bound["HostPort"])] for inside, bindings in ports.items() for bound in bindings or []
        ),
        "cpu_millis": cast("int", host["NanoCpus"]) // _NANO_PER_MILLI or None,
        "memory_bytes": host["Memory"] or None,
        "stop_signal": config["StopSignal"],
        "grace_period_secs": config["StopTimeout"],
    }


def facts_ordered(service: Service, lifecycle: Lifecycle) -> Facts:
    """The same of an order."""
    return {
        "image": service.image,
        "command": list(service.command),
        "env": {variable.name: variable.value for variable in sorted(service.env, key=lambda each: each.name)},
        "volumes": sorted([volume.source, volume.target, volume.read_only] for volume in service.volumes),
        "ports": sorted([f"{p.container_port}/{p.protocol.lower()}", p.host_port] for p in service.ports),
        "cpu_millis": service.resources.cpu_millis,
        "memory_bytes": service.resources.memory_bytes,
        "stop_signal": _SIGNALS.get(lifecycle.stop_signal),
        "grace_period_secs": lifecycle.grace_period_secs,
    }


@check_of
def made_as_desired(device: str) -> Ask:
    """`made-as-desired`: what was looked into last of each service of the device is made as desired-state has it."""
    name = "made-as-desired"

    def ask(history: History) -> Finding:
        looks = {op.target: (line, op) for line, op in history.numbered(Op, lambda op: op.action == LOOKED)}
        wanted = _wanted(history, device)
        if missing := sorted(wanted.keys() - looks.keys()):
            return inconclusive(name, f"nobody looked into {missing[0]}")
        for target, (ordered, facts) in sorted(wanted.items()):
            line, op = looks[target]
            found = json.loads(op.detail)
            wrong = [what for what, value in facts.items() if found.get(what) != value]
            if wrong:
                what = wrong[0]
                reason = f"{target}: its {what} is {found.get(what)!r}, and {facts[what]!r} is wanted"
                return failed(name, reason, [ordered, line])
        if not wanted:
            return inconclusive(name, f"nothing is desired of {device}")
        return passed(name, f"{len(wanted)} containers of {device} are made as desired", [n for n, _ in looks.values()])

    return ask


def _wanted(history: History, device: str) -> dict[str, tuple[int, Facts]]:
    """By target, the line of the order and what it says."""
    newest = {e.key: (n, e) for n, e in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE)}
    wanted: dict[str, tuple[int, Facts]] = {}
    for line, entry in newest.values():
        if entry.operation == "delete":
            continue
        try:
            pair, score = parse_desired_key(entry.key), decode_desired_state(entry.value.encode()).score
        except WireError:
            continue
        if pair.device == device:
            for service in score.services:
                target = f"{device}/{pair.deployment}/{service.name}"
                wanted[target] = line, facts_ordered(service, score.lifecycle)
    return wanted
