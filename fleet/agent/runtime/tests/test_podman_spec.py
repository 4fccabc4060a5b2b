"""What podman is told, and what of its answers is taken for a container of ours."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import rules
from fleet.agent.model import ContainerState, ServiceSpec, container_name, spec_of
from fleet.agent.runtime.podman_spec import (
    DEVICE_LABEL,
    SIGNALS,
    container_of,
    create_body,
    labels,
    missing_source,
    read_grace_s,
    read_listed,
)
from fleet.canonical import Json, dumps
from fleet.wire import EnvVar, Lifecycle, Port, Resources, Service, Volume, deployment_name, device_id

DEVICE = device_id("edge-7.site")
WORDS = {
    "created": ContainerState.CREATED,
    "initialized": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "stopping": ContainerState.RUNNING,
    "stopped": ContainerState.EXITED,
    "exited": ContainerState.EXITED,
    "removing": ContainerState.EXITED,
    "paused": ContainerState.OTHER,
    "unknown": ContainerState.OTHER,
    "a word of podman 9": ContainerState.OTHER,
}


def spec(service: Service | None = None, lifecycle: Lifecycle | None = None) -> ServiceSpec:
    service = service or Service("web", "registry.example/web:1")
    return spec_of(deployment_name("shop"), service, lifecycle or Lifecycle())


def entry(**changes: object) -> dict[str, object]:
    return {
        "Id": "abc",
        "Names": ["n"],
        "Labels": labels(DEVICE, spec()),
        "State": "running",
        "Exited": False,
        "ExitCode": 0,
        "Ports": None,
        **changes,
    }


def test_a_plain_service_gets_podmans_defaults_and_nothing_of_its_surroundings() -> None:
    """The whole body, as it is sent."""
    wanted = spec()
    assert create_body(DEVICE, wanted) == {
        "name": container_name(DEVICE, wanted),
        "image": "registry.example/web:1",
        "env": {},
        "env_host": False,
        "httpproxy": False,
        "labels": {
            "dev.fleetproof.device": "edge-7.site",
            "dev.fleetproof.deployment": "shop",
            "dev.fleetproof.service": "web",
            "dev.fleetproof.digest": wanted.digest,
        },
        "log_configuration": {"driver": "k8s-file", "size": 10 * 1024 * 1024},
        "mounts": [],
        "volumes": [],
        "portmappings": [],
        "restart_policy": "no",
        "healthconfig": {"Test": ["NONE"]},
        "sdnotifyMode": "ignore",
        "stop_signal": 15,
        "stop_timeout": 30,
    }


def test_a_full_service_is_told_in_full() -> None:
    """A command replaces the image's entrypoint too; an absolute source is a bind mount, another a volume."""
    service = Service(
        "web",
        "web:1",
        ("/bin/serve", "--port", "80"),
        env=(EnvVar("A", "1"), EnvVar("B", "")),
        ports=(Port(80, 8080), Port(53, 5353, "UDP")),
        volumes=(Volume("/etc/web", "/conf", read_only=True), Volume("web-data", "/data")),
        resources=Resources(cpu_millis=250, memory_bytes=64 * 1024 * 1024),
    )
    body = create_body(DEVICE, spec(service, Lifecycle("SIGRTMIN+3", 0)))
    assert body["entrypoint"] == ["/bin/serve", "--port", "80"]
    assert "command" not in body
    assert body["env"] == {"A": "1", "B": ""}
    assert body["portmappings"] == [
        {"container_port": 80, "host_port": 8080, "protocol": "tcp"},
        {"container_port": 53, "host_port": 5353, "protocol": "udp"},
    ]
    assert body["mounts"] == [{"type": "bind", "source": "/etc/web", "destination": "/conf", "options": ["ro"]}]
    assert body["volumes"] == [{"Name": "web-data", "Dest": "/data", "Options": ["rw"]}]
    assert body["resource_limits"] == {
        "cpu": {"quota": 25_000, "period": 100_000},
        "memory": {"limit": 64 * 1024 * 1024, "swap": 64 * 1024 * 1024},
    }
    assert (body["stop_signal"], body["stop_timeout"]) == (37, 0)


def test_every_signal_of_the_contract_has_a_number() -> None:
    """And no other has."""
    assert set(SIGNALS) == set(rules.STOP_SIGNALS)


@given(st.integers(1, rules.CPU_MILLIS_MAX))
def test_no_share_of_a_cpu_is_too_small_for_the_kernel(cpu_millis: int) -> None:
    """Quotas below one millisecond are refused by it."""
    body = create_body(DEVICE, spec(Service("web", "web:1", resources=Resources(cpu_millis=cpu_millis))))
    quota_us = cast("dict[str, dict[str, int]]", body["resource_limits"])["cpu"]["quota"]
    assert quota_us == max(1_000, cpu_millis * 100)


@pytest.mark.parametrize(("word", "state"), WORDS.items())
def test_each_of_podmans_states_means_one_of_ours(word: str, state: ContainerState) -> None:
    """A word that nobody knows yet is left alone."""
    container = container_of(DEVICE, read_listed(entry(State=word)))
    assert container is not None
    assert container.state is state


@pytest.mark.rule("A2")
def test_what_was_made_is_recognised() -> None:
    """Slot and digest come back from the labels; neighbouring ports come joined, and are told apart."""
    wanted = spec()
    ports = [
        {"host_ip": "", "container_port": 80, "host_port": 8080, "range": 3, "protocol": "tcp"},
        {"host_ip": "", "container_port": 53, "host_port": 53, "range": 1, "protocol": "udp"},
    ]
    container = container_of(DEVICE, read_listed(entry(Ports=ports, Exited=True, ExitCode=3)))
    assert container is not None
    assert (container.slot, container.digest, container.exit_code) == (wanted.slot, wanted.digest, 3)
    assert container.host_ports == {(8080, "TCP"), (8081, "TCP"), (8082, "TCP"), (53, "UDP")}


@pytest.mark.rule("A2")
@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {DEVICE_LABEL: DEVICE},
        {**labels(DEVICE, spec()), DEVICE_LABEL: "edge-7"},
        {**labels(DEVICE, spec()), "dev.fleetproof.deployment": "not a name"},
        {**labels(DEVICE, spec()), "dev.fleetproof.service": ""},
        {**labels(DEVICE, spec()), "dev.fleetproof.digest": 7},
    ],
)
def test_a_container_without_all_of_our_labels_is_a_strangers(found: object) -> None:
    """Whatever its name: it is left alone."""
    assert container_of(DEVICE, read_listed(entry(Labels=found))) is None


@pytest.mark.parametrize(
    "found",
    [None, [], "x", {}, entry(Id=None), entry(State=3), entry(Exited=True, ExitCode="1"), entry(Ports=[1]),
     entry(Ports=[{"host_port": 1, "protocol": "tcp"}])],
)  # fmt: skip
def test_what_is_no_entry_is_refused(found: object) -> None:
    """So that nothing is concluded from it."""
    with pytest.raises(ValueError, match="expected"):
        read_listed(found)


def test_the_grace_is_read_from_an_inspection() -> None:
    """In seconds; anything else is refused."""
    assert read_grace_s({"Config": {"StopTimeout": 7}}) == 7
    unreadable: list[object] = [None, {}, {"Config": {}}, {"Config": {"StopTimeout": "7"}}]
    for found in unreadable:
        with pytest.raises(ValueError, match="expected"):
            read_grace_s(found)


def test_a_missing_source_is_named_only_if_it_is_one_of_ours() -> None:
    """Podman's other words stay as they are."""
    wanted = spec(Service("web", "web:1", volumes=(Volume("/etc/web", "/conf"),)))
    words = missing_source(wanted, "statfs /etc/web: no such file or directory")
    assert words is not None
    assert "/etc/web is not there" in words
    assert missing_source(wanted, "statfs /var/lib/x: no such file or directory") is None


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("Id", "Names", "Labels", "State", "Exited", "ExitCode", "Ports")


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)))
def test_no_answer_breaks_the_reader(found: dict[str, Json]) -> None:
    """It is an entry, or it is refused."""
    try:
        container_of(DEVICE, read_listed(found))
    except ValueError:
        return


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(TEXT, max_size=4), st.dictionaries(TEXT, TEXT, max_size=3))
def test_any_command_and_env_are_sent_as_they_are(command: list[str], env: dict[str, str]) -> None:
    """Nothing is split, quoted or expanded."""
    service = Service("web", "web:1", tuple(command), tuple(EnvVar(name, value) for name, value in env.items()))
    body = create_body(DEVICE, spec(service))
    assert body.get("entrypoint", []) == command
    assert body["env"] == env
    dumps(body)
