"""Custom resources as the API server writes them become the values the operator thinks in, or are refused."""

import json

import msgspec
import pytest

from fleet.errors import WireError
from fleet.kube.objects import decode_deployment, decode_device
from fleet.wire import (
    DesiredState,
    EnvVar,
    HealthCheck,
    Lifecycle,
    Owner,
    Port,
    PullPolicy,
    Resources,
    Score,
    Service,
    Volume,
    decode_desired_state,
)

Json = dict[str, object]
BARE: Json = {"name": "web", "image": "web:1"}
METADATA: Json = {"name": "web", "uid": "u-1", "resourceVersion": "7", "generation": 3}
SPEC: Json = {
    "targetSelector": {"matchLabels": {"site": "hamburg"}},
    "services": [
        {
            "name": "web",
            "image": "web:1",
            "command": ["/bin/serve", "-v"],
            "env": [{"name": "MODE", "value": "prod"}, {"name": "EMPTY"}],
            "ports": [{"containerPort": 8080, "hostPort": 80}],
            "volumes": [{"source": "/etc/web", "target": "/etc/web", "readOnly": True}],
            "resources": {"cpuMillis": 500, "memoryBytes": 67108864},
            "imagePullPolicy": "Always",
            "healthCheck": {"command": ["/bin/ok"], "intervalSecs": 10, "timeoutSecs": 2, "retries": 4},
        }
    ],
    "lifecycle": {"stopSignal": "SIGINT", "gracePeriodSecs": 5},
}


def encoded(metadata: Json, spec: object, **more: object) -> bytes:
    return json.dumps({"metadata": metadata, "spec": spec, **more}).encode()


def test_a_whole_deployment() -> None:
    """Every field of the spec arrives in the score; unknown fields of the API server are passed over."""
    got = decode_deployment(encoded(METADATA | {"managedFields": []}, SPEC, status={"a": 1}))
    assert (got.name, got.uid, got.generation, got.resource_version) == ("web", "u-1", 3, "7")
    assert (got.deleting, got.selector, got.status) == (False, {"site": "hamburg"}, {"a": 1})
    assert got.score == Score(
        (
            Service(
                name="web",
                image="web:1",
                command=("/bin/serve", "-v"),
                env=(EnvVar("MODE", "prod"), EnvVar("EMPTY", "")),
                ports=(Port(8080, 80, "TCP"),),
                volumes=(Volume("/etc/web", "/etc/web", read_only=True),),
                resources=Resources(500, 67108864),
                image_pull_policy=PullPolicy.ALWAYS,
                health_check=HealthCheck(("/bin/ok",), 10, 2, 4),
            ),
        ),
        Lifecycle("SIGINT", 5),
    )


def test_the_smallest_deployment() -> None:
    """What the schema makes optional has its default."""
    spec = {"targetSelector": {"matchLabels": {"a": ""}}, "services": [{"name": "web", "image": "web:1"}]}
    got = decode_deployment(encoded(METADATA | {"deletionTimestamp": "2026-01-01T00:00:00Z"}, spec))
    assert got.score == Score((Service(name="web", image="web:1"),), Lifecycle("SIGTERM", 30))
    assert got.deleting
    assert got.status == {}


def test_the_smallest_health_check() -> None:
    """A command alone has the schema's defaults, and resources without a limit are none."""
    services = [{"name": "web", "image": "web:1", "resources": {}, "healthCheck": {"command": ["ok"]}}]
    got = decode_deployment(encoded(METADATA, SPEC | {"services": services}))
    assert got.score.services == (Service(name="web", image="web:1", health_check=HealthCheck(("ok",), 30, 5, 3)),)


@pytest.mark.parametrize(
    ("metadata", "spec", "reason"),
    [
        (METADATA | {"name": "a.b"}, SPEC, "deployment name"),
        (METADATA, SPEC | {"services": []}, "at least one"),
        (METADATA, SPEC | {"services": [{"name": "web", "image": "has space"}]}, "image"),
        (METADATA, SPEC | {"services": [{"name": "web"}]}, "not a Deployment"),
        (METADATA, SPEC | {"services": [BARE | {"imagePullPolicy": "Sometimes"}]}, "not a Deployment"),
        (METADATA, SPEC | {"services": [BARE | {"resources": {"memoryBytes": 64}}]}, "memory_bytes"),
        (METADATA, SPEC | {"services": [BARE | {"healthCheck": {"command": []}}]}, "at least 1"),
        (METADATA, SPEC | {"targetSelector": {"matchLabels": {}}}, "empty selector"),
        (METADATA, SPEC | {"lifecycle": {"stopSignal": "SIGWHAT"}}, "stop_signal"),
        (METADATA | {"generation": 0}, SPEC, "generation"),
        (METADATA, None, "not a Deployment"),
    ],
)
def test_a_deployment_that_no_device_could_be_given(metadata: Json, spec: object, reason: str) -> None:
    """Whatever the wire contract cannot carry is refused here, as one malformed object, and never while writing."""
    with pytest.raises(WireError, match=reason):
        decode_deployment(encoded(metadata, spec))


def test_a_device() -> None:
    """Labels, blocked and deleting; a Device without a spec has none of them."""
    got = decode_device(encoded(METADATA | {"name": "d.1"}, {"labels": {"a": "b"}, "blocked": True}))
    assert (got.name, got.labels, got.blocked, got.deleting) == ("d.1", {"a": "b"}, True, False)
    bare = decode_device(json.dumps({"metadata": METADATA | {"deletionTimestamp": "x"}}).encode())
    assert (bare.labels, bare.blocked, bare.deleting) == ({}, False, True)


def test_what_fences_and_holds_an_object() -> None:
    """Uid, generation and finalizers of both kinds; an object without finalizers has none."""
    held = METADATA | {"name": "web", "finalizers": ["a/b", "c/d"]}
    for got in (decode_deployment(encoded(held, SPEC)), decode_device(encoded(held, {}))):
        assert (got.uid, got.generation, got.finalizers) == ("u-1", 3, ("a/b", "c/d"))
    assert decode_device(encoded(METADATA, {})).finalizers == ()


def test_what_a_deployment_wants() -> None:
    """The canonical bytes for each of its devices, also when the object is made without them."""
    got = decode_deployment(encoded(METADATA, SPEC))
    assert decode_desired_state(got.wanted) == DesiredState(Owner("u-1", 3), got.score)
    edited = msgspec.structs.replace(got, generation=4, wanted=b"")
    assert decode_desired_state(edited.wanted).owner == Owner("u-1", 4)
    again = msgspec.structs.replace(got, status={"x": "y"}, wanted=b"")
    assert again.wanted is got.wanted
    scored = msgspec.structs.replace(got, score=Score(got.score.services, Lifecycle("SIGINT")), wanted=b"")
    assert decode_desired_state(scored.wanted).score.lifecycle.stop_signal == "SIGINT"


def test_an_object_of_a_page_and_of_an_event_is_the_object() -> None:
    """All three ways of reading give equal values."""
    one = encoded(METADATA | {"managedFields": [{"manager": "x"}]}, {"labels": {"a": "b"}})
    alone = decode_device(one)
    assert decode_device.items(b'{"items": [' + one + b"]}") == [("web", alone)]
    for kind in ("ADDED", "MODIFIED"):
        change = decode_device.change(b'{"type": "' + kind.encode() + b'", "object": ' + one + b"}")
        assert (change.type, change.name, change.version, change.item) == (kind, "web", "7", alone)


@pytest.mark.parametrize("name", ["", "UPPER", "a..b", "a" * 254])
def test_a_device_whose_name_is_no_device_id(name: str) -> None:
    """A name that could not be part of a key is refused."""
    with pytest.raises(WireError, match="device id"):
        decode_device(encoded(METADATA | {"name": name}, {}))
