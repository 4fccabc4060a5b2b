"""What a container was made of is compared with the order, field by field."""

import json
from dataclasses import replace

import pytest

from fleet.wire import DesiredState, EnvVar, Lifecycle, Owner, Port, Resources, Score, Service, Volume
from harness.checks.container_make import LOOKED, facts_of, facts_ordered, made_as_desired
from harness.checks.tests.story import Story
from harness.history import HAND, Op

SERVICE = Service(
    "main",
    "localhost/payload:v1",
    ("/bin/payload", "sleep"),
    (EnvVar("MODE", "a=b"),),
    (Port(80, 8080),),
    (Volume("/srv", "/srv", read_only=True), Volume("data", "/data")),
    Resources(250, 1 << 24),
)
LIFECYCLE = Lifecycle("SIGINT", 3)
INSPECTION = {
    "ImageName": "localhost/payload:v1",
    "Path": "/bin/payload",
    "Args": ["sleep"],
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/var/lib/x/data/_data", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": False},
    ],
    "Config": {"Env": ["PATH=/bin", "MODE=a=b", "container=podman"], "StopSignal": 2, "StopTimeout": 3},
    "HostConfig": {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "NanoCpus": 250_000_000,
        "Memory": 1 << 24,
    },
}


def looked(service: Service = SERVICE, lifecycle: Lifecycle = LIFECYCLE) -> Story:
    """Ordered is this; what runs is as in INSPECTION."""
    story = Story()
    story.stored("edge-1.app", DesiredState(Owner("uid", 1), Score((service,), lifecycle)).encode().decode())
    detail = json.dumps(facts_of(INSPECTION))
    story.add(
        Op(at_s=1, client=HAND, action=LOOKED, target="edge-1/app/main", invoked_s=1, outcome="ok", detail=detail)
    )
    return story


def test_an_inspection_is_told_as_an_order_is() -> None:
    """All that an order can say."""
    assert facts_of(INSPECTION) == facts_ordered(SERVICE, LIFECYCLE)
    assert made_as_desired("edge-1")(looked().history()).outcome == "pass"


@pytest.mark.parametrize(
    ("service", "lifecycle", "words"),
    [
        (replace(SERVICE, env=(EnvVar("MODE", "b"),)), LIFECYCLE, "its env is"),
        (replace(SERVICE, env=()), LIFECYCLE, "its env is"),
        (replace(SERVICE, volumes=SERVICE.volumes[:1]), LIFECYCLE, "its volumes is"),
        (replace(SERVICE, ports=(Port(80, 8081),)), LIFECYCLE, "its ports is"),
        (replace(SERVICE, command=()), LIFECYCLE, "its command is"),
        (replace(SERVICE, resources=Resources()), LIFECYCLE, "its cpu_millis is"),
        (SERVICE, Lifecycle("SIGTERM", 3), "its stop_signal is 2, and 15 is wanted"),
        (SERVICE, Lifecycle("SIGINT", 4), "its grace_period_secs is"),
    ],
)
def test_any_other_field_is_told(service: Service, lifecycle: Lifecycle, words: str) -> None:
    """Which one, what it is, and what it should be."""
    finding = made_as_desired("edge-1")(looked(service, lifecycle).history())
    assert finding.outcome == "fail"
    assert words in finding.reason


def test_nobody_looked() -> None:
    """Into what is ordered, or nothing is."""
    story = Story()
    assert made_as_desired("edge-1")(story.history()).outcome == "inconclusive"
    story.stored("edge-1.app", DesiredState(Owner("uid", 1), Score((SERVICE,))).encode().decode())
    assert made_as_desired("edge-1")(story.history()).outcome == "inconclusive"
