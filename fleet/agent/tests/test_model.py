"""The digest names what is baked into a container, and nothing else; a name is one container's alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given

from fleet.agent.model import container_name, spec_of
from fleet.tests import strategies as some
from fleet.wire import (
    EnvVar,
    HealthCheck,
    Lifecycle,
    Pair,
    Port,
    PullPolicy,
    Resources,
    Score,
    Service,
    Volume,
    deployment_name,
    device_id,
)

APP = deployment_name("app")
WEB = Service("web", "web:1")
CHECK = HealthCheck(("/bin/check",))


def digest(service: Service, lifecycle: Lifecycle | None = None) -> str:
    return spec_of(APP, service, lifecycle or Lifecycle()).digest


@pytest.mark.rule("A2")
def test_the_digest_of_a_plain_service_never_changes() -> None:
    """Containers in the field carry it: with another one, an update of the agent would replace all of them."""
    assert digest(WEB) == "d4e3d0ae7df59587"


BAKED: dict[str, Callable[[Service], Service]] = {
    "image": lambda service: replace(service, image="web:2"),
    "command": lambda service: replace(service, command=("serve",)),
    "env": lambda service: replace(service, env=(EnvVar("A", ""),)),
    "ports": lambda service: replace(service, ports=(Port(80, 80),)),
    "volumes": lambda service: replace(service, volumes=(Volume("data", "/data"),)),
    "cpu": lambda service: replace(service, resources=Resources(cpu_millis=500)),
    "memory": lambda service: replace(service, resources=Resources(memory_bytes=2**26)),
}


@pytest.mark.rule("A2")
@pytest.mark.parametrize("changed", BAKED.values(), ids=BAKED)
def test_what_is_baked_in_is_part_of_the_digest(changed: Callable[[Service], Service]) -> None:
    """A container cannot be given it later, so a change of it takes another container."""
    assert digest(changed(WEB)) != digest(WEB)


@pytest.mark.rule("A2")
@pytest.mark.parametrize("lifecycle", [Lifecycle("SIGINT"), Lifecycle(grace_period_secs=31)], ids=["signal", "grace"])
def test_the_lifecycle_is_baked_in(lifecycle: Lifecycle) -> None:
    """A container is stopped by its own signal and grace, so others take another container."""
    assert digest(WEB, lifecycle) != digest(WEB)


@pytest.mark.rule("A2", "A3")
@pytest.mark.parametrize("policy", PullPolicy)
@pytest.mark.parametrize("check", [None, CHECK, replace(CHECK, retries=9)], ids=["none", "default", "retries"])
def test_what_only_the_agent_uses_is_not(policy: PullPolicy, check: HealthCheck | None) -> None:
    """A health check or pull policy that is added, edited or dropped replaces no container; the agent still has it."""
    edited = replace(WEB, image_pull_policy=policy, health_check=check)
    assert digest(edited) == digest(WEB)
    assert spec_of(APP, edited, Lifecycle()).service == edited


@given(some.scores(), some.scores())
def test_the_digest_is_of_the_bytes(one: Score, other: Score) -> None:
    """Services differ in their digest exactly if they differ in what is baked in."""
    parts = [
        (replace(score.services[0], health_check=None, image_pull_policy=PullPolicy.IF_NOT_PRESENT), score.lifecycle)
        for score in (one, other)
    ]
    assert (parts[0] == parts[1]) == (digest(*parts[0]) == digest(*parts[1]))


@given(some.pairs, some.pairs, some.labels_dns, some.labels_dns)
def test_names_of_different_slots_differ(one: Pair, other: Pair, service: str, another: str) -> None:
    """No two devices, deployments or services share a container's name, dots in device ids included."""
    assume((one, service) != (other, another))
    names = {
        container_name(pair.device, spec_of(pair.deployment, Service(name, "i"), Lifecycle()))
        for pair, name in ((one, service), (other, another))
    }
    assert len(names) == 2


def test_old_and_new_have_different_names() -> None:
    """The next container of a slot is created while the old one still runs."""
    device = device_id("rack.d1")
    old, new = (spec_of(APP, replace(WEB, image=image), Lifecycle()) for image in ("web:1", "web:2"))
    assert container_name(device, old) == f"fleet.rack.d1.app.web.{old.digest}"
    assert container_name(device, old) != container_name(device, new)
