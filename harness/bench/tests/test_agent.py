"""What of two containers is compared, and what the benchmark of an agent answers, from containers that are made up."""

import copy
import json

import pytest

from fleet.wire import EnvVar, Lifecycle, Service, Volume
from harness.bench.agent import Answer, Idle, Starts
from harness.bench.figures import difference
from harness.bench.podman_run import essence, read_inspected, run_arguments, short_digest
from harness.bench.report import agent_rows
from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube_answers import mapping

SERVICE = Service(
    "main",
    "localhost/payload:v1",
    ("/bin/payload", "sleep"),
    env=(EnvVar("MODE", "a b"),),
    volumes=(Volume("/data", "/data", read_only=True), Volume("kept", "/kept", read_only=False)),
)


def container(number: int) -> Json:
    """As podman tells of it: what is its own differs by the number."""
    return {
        "Id": f"id-{number}",
        "Image": "sha256:1",
        "State": {"StartedAt": f"2026-11-21T09:30:0{number}.123456789Z"},
        "Config": {
            "Hostname": f"id-{number}",
            "Labels": {"dev.fleetproof.device": f"edge-{number}"},
            "CreateCommand": ["podman", "run"] if number else None,
            "Annotations": {"created": f"{number}"},
            "Env": ["MODE=a b", "PATH=/bin", f"HOSTNAME=id-{number}"][:: 1 if number else -1],
            "Entrypoint": "/bin/payload sleep",
            "StopTimeout": 1,
        },
        "HostConfig": {"LogConfig": {"Type": "k8s-file", "Path": f"/{number}"}, "Memory": 0, "Binds": ["b", "a"]},
        "Mounts": [{"Source": "/data", "RW": False}, {"Source": "kept", "RW": True}][:: 1 if number else -1],
    }


def essence_of(found: Json) -> Json:
    return essence(read_inspected(json.dumps([found])))


def test_what_is_a_containers_own_is_not_compared() -> None:
    """Id, host name, labels, paths, and the order of what has none."""
    ours, theirs = essence_of(container(0)), essence_of(container(1))
    assert difference(ours, theirs) == ""
    assert short_digest(ours) == short_digest(theirs)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("Config", "Entrypoint", "/bin/payload serve 80"),
        ("Config", "StopTimeout", 10),
        ("Config", "Env", ["MODE=b", "PATH=/bin"]),
        ("HostConfig", "Memory", 6291456),
        ("HostConfig", "LogConfig", {"Type": "journald"}),
        ("HostConfig", "PortBindings", {"80/tcp": []}),
    ],
)
def test_any_other_difference_is_named(part: str, key: str, value: object) -> None:
    """By its place in podman's answer."""
    other = copy.deepcopy(container(1))
    other[part] = {**mapping(other[part]), key: value}
    assert difference(essence_of(container(0)), essence_of(other)).startswith(f"{part}.{key}: ")


def test_another_image_or_mount_is_another_container() -> None:
    """They stand beside the configuration."""
    changes: list[Json] = [{"Image": "sha256:2"}, {"Mounts": []}]
    for change in changes:
        assert short_digest(essence_of(container(0))) != short_digest(essence_of({**container(1), **change}))


def test_the_start_is_read_as_podman_wrote_it() -> None:
    """Unix time; what is no container is refused."""
    assert read_inspected(json.dumps([container(0)])).started_s == pytest.approx(1795253400.123456, abs=1e-6)
    for text in ("[]", "", "{}", json.dumps([container(0), container(1)])):
        with pytest.raises(ServiceError, match="no container"):
            read_inspected(text)


def test_podman_is_told_all_of_the_specification() -> None:
    """One word for each of its fields, none of them through a shell."""
    words = run_arguments("bare-1", SERVICE, Lifecycle("SIGINT", 7))
    assert words[0] == "run"
    assert words[-1] == SERVICE.image
    assert {
        "--name=bare-1",
        "--env=MODE=a b",
        "--volume=/data:/data:ro",
        "--volume=kept:/kept:rw",
        "--stop-signal=SIGINT",
        "--stop-timeout=7",
        '--entrypoint=["/bin/payload", "sleep"]',
    } <= set(words)


def answer() -> Answer:
    idle = {
        "file": Idle(0.0333, 0.25, 35 << 20, 36 << 20),
        "file at a test's rates": Idle(0.6, 3.0, 35 << 20, 36 << 20),
    }
    return Answer(Starts((0.3, 0.2, 0.9), (0.4, 0.5, 0.3), "abc"), idle, 60.0)


def test_figures_are_of_medians_and_of_the_first_agent() -> None:
    """One slow round moves no figure; the rates of a test are told apart."""
    found = answer().as_json()
    assert found["kv_to_container_over_podman_run"] == 0.75
    assert (found["idle_cpu_percent"], found["idle_rss_mib"]) == (0.033, 35.0)
    assert found["rounds"] == 3
    assert mapping(mapping(found["idle"])["file"])["podman_cpu_percent"] == 0.25
    json.dumps(found)


def test_rows_say_the_same() -> None:
    """Both ways of starting a container, and each idle agent."""
    rows, notes = agent_rows(answer().as_json())
    assert rows[1:] == [["KV write", "0.300", "0.200 to 0.900"], ["podman run", "0.400", "0.300 to 0.500"]]
    assert "0.75 x `podman run`" in notes[0]
    assert [note.split("(")[1].split(")")[0] for note in notes[1:]] == ["file", "file at a test's rates"]
