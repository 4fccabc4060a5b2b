"""The CRDs as data: their limits mirror the wire contract's."""

import re
from collections.abc import Iterator

import pytest
import yaml

from fleet import crds, rules, wire
from fleet.fields import TextRule
from fleet.operator.status import READY, SYNCED, decide_status
from fleet.operator.tests.samples import WEB, at, deployment, fleet_state


def dig(value: object, *names: str | int) -> object:
    """Follow names and indexes into nested data."""
    for name in names:
        if isinstance(value, dict):
            value = value[name]
        else:
            assert isinstance(value, list)
            assert isinstance(name, int)
            value = value[name]
    return value


def schema(index: int) -> object:
    return dig(crds.manifests()[index], "spec", "versions", 0, "schema", "openAPIV3Schema")


def walk(value: object, path: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each schema node with its path."""
    assert isinstance(value, dict)
    yield path, value
    for name, child in value.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}" if path else name)
    for name in ("items", "additionalProperties"):
        if name in value:
            yield from walk(value[name], f"{path}[]")


DEPLOYMENT = dict(walk(schema(0)))
DEVICE = dict(walk(schema(1)))


@pytest.mark.parametrize(("index", "resource"), [(0, crds.DEPLOYMENT), (1, crds.DEVICE)])
def test_constants_match_the_files(index: int, resource: crds.Resource) -> None:
    """Whoever builds an API path from the constants reaches what the files define."""
    manifest = crds.manifests()[index]
    assert dig(manifest, "metadata", "name") == resource.crd_name
    assert dig(manifest, "spec", "group") == crds.GROUP
    assert dig(manifest, "spec", "names", "plural") == resource.plural
    assert dig(manifest, "spec", "names", "kind") == resource.kind
    assert dig(manifest, "spec", "names", "shortNames") == [resource.short_name]
    assert dig(manifest, "spec", "versions", 0, "name") == crds.VERSION
    assert dig(manifest, "spec", "versions", 0, "subresources") == {"status": {}}


def test_text_is_one_stream() -> None:
    """The text for kubectl and the objects for the API are the same definitions."""
    assert list(yaml.safe_load_all(crds.manifest_text())) == crds.manifests()


SERVICES = "spec.services"
HEALTH_CHECK = wire.HealthCheck(("ok",))
COUNTS = {
    SERVICES: rules.SERVICES_MAX,
    f"{SERVICES}[].command": rules.COMMAND_MAX,
    f"{SERVICES}[].env": rules.ENV_MAX,
    f"{SERVICES}[].ports": rules.PORTS_MAX,
    f"{SERVICES}[].volumes": rules.VOLUMES_MAX,
    f"{SERVICES}[].healthCheck.command": rules.COMMAND_MAX,
    "spec.targetSelector.matchLabels": rules.LABELS_MAX,
}


def test_counts_mirror_the_wire() -> None:
    """Each list and map of a spec has the wire's own limit."""
    found = {
        path: node.get("maxItems", node.get("maxProperties"))
        for path, node in DEPLOYMENT.items()
        if path.startswith("spec") and (node["type"] == "array" or "additionalProperties" in node)
    }
    assert found == COUNTS
    assert DEVICE["spec.labels"]["maxProperties"] == rules.LABELS_MAX


TEXTS = {
    f"{SERVICES}[].name": rules.LABEL,
    f"{SERVICES}[].image": rules.IMAGE,
    f"{SERVICES}[].command[]": rules.ARGUMENT,
    f"{SERVICES}[].env[].name": rules.ENV_NAME,
    f"{SERVICES}[].env[].value": rules.ENV_VALUE,
    f"{SERVICES}[].volumes[].source": rules.VOLUME_SOURCE,
    f"{SERVICES}[].volumes[].target": rules.VOLUME_TARGET,
    f"{SERVICES}[].healthCheck.command[]": rules.ARGUMENT,
    "spec.targetSelector.matchLabels[]": rules.LABEL_VALUE,
}


def pattern_of(node: dict[str, object]) -> str | None:
    """Return the regular expression of a schema node, wherever it stands."""
    if "pattern" in node:
        return str(node["pattern"])
    for rule in yaml.safe_load(yaml.safe_dump(node.get("x-kubernetes-validations", []))):
        _, found, rest = rule["rule"].partition("self.matches('")
        if found:
            return str(rest.removesuffix("')")).replace("\\\\", "\\")
    return None


@pytest.mark.parametrize("path", TEXTS)
def test_texts_mirror_the_wire(path: str) -> None:
    """Each text of a spec has the wire's length, and its pattern decides alike on the edge cases of all texts."""
    node, rule = DEPLOYMENT[path], TEXTS[path]
    assert node["maxLength"] == rule.len_max
    pattern = pattern_of(node)
    if pattern is None:
        assert rule is rules.LABEL_VALUE  # judged at its map, where the message can say what it is
        return
    mirrored = TextRule("mirror", _compiled(pattern), rule.len_max)
    for text in EDGES:
        assert _allows(mirrored, text) == _allows(rule, text), ascii(text)


EDGES = [
    "",
    "a",
    "A",
    "-",
    "a-",
    "-a",
    "a-b",
    "a.b",
    "a_b",
    "_a",
    "1a",
    "a b",
    "/",
    "/a",
    "a/b",
    "./a",
    "ä",
    "☕",
    "~",
    "!",
]
EDGES += [f"{start}{chr(code)}b" for start in ("a", "/a") for code in (*range(33), 0x7F, 0x80, 0xA0, 0x2028)] + [
    "a\n",
    "/a\n",
    "/ä b",
]


def _compiled(pattern: str) -> re.Pattern[str]:
    # Go's `$` is Python's `\\Z`.
    return re.compile(pattern.removesuffix("$") + r"\Z")


def _allows(rule: TextRule, text: str) -> bool:
    return rule.pattern.fullmatch(text) is not None


def test_numbers_and_names_mirror_the_wire() -> None:
    """Ports, grace period, signals and protocols are the wire's."""
    for name in ("containerPort", "hostPort"):
        port = DEPLOYMENT[f"{SERVICES}[].ports[].{name}"]
        assert (port["minimum"], port["maximum"]) == (1, rules.PORT_MAX)
    grace = DEPLOYMENT["spec.lifecycle.gracePeriodSecs"]
    assert (grace["minimum"], grace["maximum"]) == (0, rules.GRACE_PERIOD_SECS_MAX)
    assert grace["default"] == wire.Lifecycle().grace_period_secs
    signal = DEPLOYMENT["spec.lifecycle.stopSignal"]
    assert signal["enum"] == list(rules.STOP_SIGNALS)
    assert signal["default"] == wire.Lifecycle().stop_signal
    assert DEPLOYMENT[f"{SERVICES}[].ports[].protocol"]["enum"] == ["TCP", "UDP"]
    policy = DEPLOYMENT[f"{SERVICES}[].imagePullPolicy"]
    assert (policy["enum"], policy["default"]) == (list(wire.PullPolicy), wire.PullPolicy.IF_NOT_PRESENT)
    across = str(DEPLOYMENT[SERVICES]["x-kubernetes-validations"])
    assert f"<= {rules.SCORE_CHARACTERS_MAX}" in across
    assert f"<= {rules.PORTS_OF_SCORE_MAX}" in across
    message = DEPLOYMENT["status.aggregate.lastError.message"]
    assert message["maxLength"] == rules.LAST_ERROR.len_max


def test_resources_mirror_the_wire() -> None:
    """Limits of CPU and memory are the wire's; too little memory is refused by a rule, whose message can be read."""
    cpu = DEPLOYMENT[f"{SERVICES}[].resources.cpuMillis"]
    assert (cpu["minimum"], cpu["maximum"]) == (1, rules.CPU_MILLIS_MAX)
    memory = DEPLOYMENT[f"{SERVICES}[].resources.memoryBytes"]
    assert memory["maximum"] == rules.MEMORY_BYTES_MAX
    assert f"self >= {rules.MEMORY_BYTES_MIN}'" in str(memory["x-kubernetes-validations"])


@pytest.mark.parametrize(
    ("name", "int_max", "default"),
    [
        ("intervalSecs", rules.HEALTH_INTERVAL_SECS_MAX, HEALTH_CHECK.interval_secs),
        ("timeoutSecs", rules.HEALTH_TIMEOUT_SECS_MAX, HEALTH_CHECK.timeout_secs),
        ("retries", rules.HEALTH_RETRIES_MAX, HEALTH_CHECK.retries),
    ],
)
def test_health_checks_mirror_the_wire(name: str, int_max: int, default: int) -> None:
    """Each number of a health check has the wire's limits and default."""
    node = DEPLOYMENT[f"{SERVICES}[].healthCheck.{name}"]
    assert (node["minimum"], node["maximum"], node["default"]) == (1, int_max, default)
    assert DEPLOYMENT[f"{SERVICES}[].healthCheck.command"]["minItems"] == 1


@pytest.mark.parametrize("nodes", [DEPLOYMENT, DEVICE], ids=["deployment", "device"])
def test_everything_is_bounded(nodes: dict[str, dict[str, object]]) -> None:
    """No list, map, text or number of a CRD is without a limit."""
    limits = {"array": {"maxItems"}, "string": {"maxLength", "enum"}, "integer": {"minimum"}}
    for path, node in nodes.items():
        if path in ("apiVersion", "kind"):
            continue
        wanted = {"maxProperties"} if "additionalProperties" in node else limits.get(str(node["type"]), node.keys())
        assert wanted & node.keys(), path


@pytest.mark.rule("S1")
def test_the_aggregate_is_the_operators() -> None:
    """The schema holds the counts that an operator writes, each required, and the failure that may be left out."""
    aggregate = DEPLOYMENT["status.aggregate"]
    state = fleet_state()
    state.upsert_deployment(deployment())
    written = decide_status(deployment(), state.standings.tallies[WEB], at(0))
    assert written is not None
    counts = dig(dict(written), "aggregate")
    assert isinstance(counts, dict)
    assert aggregate["required"] == list(counts)
    assert {
        path.rpartition(".")[2] for path in DEPLOYMENT if path.count(".") == 2 and path.startswith("status.agg")
    } == {
        *counts,
        "lastError",
    }


def test_columns_show_what_the_schema_holds() -> None:
    """Every column of `kubectl get` reads a field or a condition that is there; Synced is shown with `-o wide`."""
    columns = dig(crds.manifests()[0], "spec", "versions", 0, "additionalPrinterColumns")
    assert isinstance(columns, list)
    shown = {}
    for column in columns:
        assert isinstance(column, dict)
        shown[column["name"]] = column
        path = str(column["jsonPath"]).removeprefix(".")
        if path.startswith(("spec.", "status.")):
            assert path.partition("[?")[0] in DEPLOYMENT
    assert list(shown) == ["Matched", "Succeeded", "Pending", "Failed", "Stale", "Ready", "Synced", "Age"]
    assert shown["Synced"]["priority"] == 1
    for name in (READY, SYNCED):
        assert f'"{name}"' in str(shown[name]["jsonPath"])
