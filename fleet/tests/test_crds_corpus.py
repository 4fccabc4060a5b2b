"""The corpus of admission: what it calls good can be carried to a device, and what it calls bad says why."""

from pathlib import Path

import pytest
import yaml

from fleet import crds, wire
from fleet.canonical import Json

CORPUS = Path(__file__).parent / "corpus" / "admission"
GOOD = sorted(CORPUS.glob("good-*.yaml"))
BAD = sorted(CORPUS.glob("bad-*.yaml"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_admission_accepts_the_wire_carries(path: Path) -> None:
    """A spec that the API server accepts (checked against a real one) encodes and decodes."""
    resource = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = resource["metadata"]["name"]
    if resource["kind"] == "Device":
        assert wire.device_id(name) == name
        return
    assert wire.deployment_name(name) == name
    desired = wire.DesiredState(wire.Owner("uid", 1), score_of(resource["spec"]))
    assert wire.decode_desired_state(desired.encode()) == desired


def score_of(spec: dict[str, Json]) -> wire.Score:
    """Map a spec to a score field by field, with the schema's defaults."""
    services = spec["services"]
    lifecycle = spec.get("lifecycle", {})
    assert isinstance(services, list)
    assert isinstance(lifecycle, dict)
    return wire.Score(
        tuple(
            wire.Service(
                name=service["name"],
                image=service["image"],
                command=tuple(service.get("command", ())),
                env=tuple(wire.EnvVar(**env) for env in service.get("env", ())),
                ports=tuple(
                    wire.Port(port["containerPort"], port["hostPort"], port.get("protocol", "TCP"))
                    for port in service.get("ports", ())
                ),
                volumes=tuple(
                    wire.Volume(volume["source"], volume["target"], volume.get("readOnly", False))
                    for volume in service.get("volumes", ())
                ),
                resources=wire.Resources(
                    service.get("resources", {}).get("cpuMillis"), service.get("resources", {}).get("memoryBytes")
                ),
                image_pull_policy=wire.PullPolicy(service.get("imagePullPolicy", "IfNotPresent")),
                health_check=health_check_of(service.get("healthCheck")),
            )
            for service in services
        ),
        wire.Lifecycle(lifecycle.get("stopSignal", "SIGTERM"), lifecycle.get("gracePeriodSecs", 30)),
    )


def health_check_of(spec: object) -> wire.HealthCheck | None:
    if not isinstance(spec, dict):
        return None
    numbers = (spec.get("intervalSecs", 30), spec.get("timeoutSecs", 5), spec.get("retries", 3))
    return wire.HealthCheck(tuple(spec["command"]), *numbers)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_specs_say_why(path: Path) -> None:
    """Each bad spec is a readable object of ours and names, in its first line, the message that refuses it."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# refused: ")
    assert yaml.safe_load(text)["apiVersion"] == crds.API_VERSION
