"""The world of a benchmark: what is in it, and that it says the same on both sides."""

from collections import Counter

from fleet.wire import Owner, Phase, decode_desired_state, decode_device_state
from harness.bench.plan import Plan, desired_values, heartbeat_value, info_value, reported, state_value

OWNER = Owner("6f1c2a44", 1)


def test_two_deployments_select_each_device() -> None:
    """Every device is in exactly two pairs, and the selector of both names its group."""
    plan = Plan(devices=120, deployments=100)
    pairs = plan.pairs
    assert set(Counter(pair.device for pair in pairs).values()) == {2}
    labels = {str(body["metadata"]["name"]): body["spec"]["labels"] for body in plan.device_bodies()}  # type: ignore[index] # our own literals
    selectors = {
        str(body["metadata"]["name"]): body["spec"]["targetSelector"]["matchLabels"]  # type: ignore[index] # as above
        for body in plan.deployment_bodies()
    }
    selected = {
        (device, name)
        for name, wanted in selectors.items()
        for device, has in labels.items()
        if wanted.items() <= has.items()
    }
    assert {(pair.device, pair.deployment) for pair in pairs} == selected


def test_one_deployment_selects_all() -> None:
    """The smallest plan has one group."""
    assert len(Plan(devices=3, deployments=1).pairs) == 3


def test_stored_scores_are_those_of_the_objects() -> None:
    """What lies under a key is what the Deployment asks for, field by field: a restart has nothing to write."""
    plan = Plan(devices=4, deployments=4)
    values = desired_values(plan, {f"app-{i:04d}": OWNER for i in range(4)})
    for body in plan.deployment_bodies():
        service = decode_desired_state(values[str(body["metadata"]["name"])]).score.services[0]  # type: ignore[index] # as above
        asked = body["spec"]["services"][0]  # type: ignore[index] # as above
        assert (service.name, service.image, list(service.command)) == (asked["name"], asked["image"], asked["command"])
        assert [{"name": e.name, "value": e.value} for e in service.env] == asked["env"]
        ports = [{"containerPort": p.container_port, "hostPort": p.host_port} for p in service.ports]
        assert ports == asked["ports"]
    assert len(set(values.values())) == 4


def test_some_pairs_do_not_run() -> None:
    """Counts are worth comparing: few failed, few pending, most running; a failed one says why."""
    phases = Counter(reported(n) for n in range(1000))
    assert phases[Phase.FAILED] == 20
    assert 10 <= phases[Phase.PENDING] <= 20
    assert decode_device_state(state_value(Phase.FAILED, OWNER, number=1)).last_error


def test_a_later_number_is_a_later_report() -> None:
    """Event time grows with the number, so that a flip is never taken for an old report."""
    first, second = (decode_device_state(state_value(Phase.RUNNING, OWNER, number=n)) for n in (7, 8))
    assert first.last_event_at < second.last_event_at


def test_reports_are_what_the_wire_takes() -> None:
    """Infos and heartbeats encode, which reads them back."""
    assert info_value({"group": "g1"})
    assert heartbeat_value(3)
