"""Which Deployment selects which Device."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube.objects import Deployment, Device
from fleet.operator.matching import Matcher, eligible, selects
from fleet.operator.tests.samples import D1, WEB, deployment, device
from fleet.wire import DeploymentName, DeviceId

labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)
selectors = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), min_size=1, max_size=2)
devices = st.builds(
    lambda name, labels, blocked, deleting: device(name, labels=labels, blocked=blocked, deleting=deleting),
    st.sampled_from(["d1", "d2", "d.3"]),
    labels,
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, False, True]),
)
deployments = st.builds(
    lambda name, selector, deleting: deployment(name, selector=selector, deleting=deleting),
    st.sampled_from(["web", "db", "log"]),
    selectors,
    st.sampled_from([False, False, False, True]),
)


@pytest.mark.parametrize(
    ("selector", "carried", "selected"),
    [
        ({"a": "1"}, {"a": "1"}, True),
        ({"a": "1"}, {"a": "1", "b": "2"}, True),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, True),
        ({"a": "1", "b": "2"}, {"a": "1"}, False),
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": "1"}, {}, False),
        ({"a": ""}, {}, False),
    ],
)
def test_every_selected_label_must_be_there(
    selector: Mapping[str, str], carried: Mapping[str, str], selected: bool
) -> None:
    """All labels of the selector with their values, whatever else the device carries."""
    assert selects(deployment(selector=selector), device(labels=carried)) is selected


def test_what_is_blocked_or_being_deleted_is_not_selected() -> None:
    """Neither a Deployment that is being deleted selects, nor is a Device selected that is so or blocked."""
    assert eligible(device())
    assert not eligible(device(blocked=True))
    assert not eligible(device(deleting=True))
    assert not selects(deployment(), device(blocked=True))
    assert not selects(deployment(), device(deleting=True))
    assert not selects(deployment(deleting=True), device())


def test_what_was_never_put_selects_nothing() -> None:
    """Unknown names have no matches, and dropping them is fine."""
    matcher = Matcher()
    matcher.drop_device(D1)
    matcher.drop_deployment(WEB)
    assert matcher.devices_of(WEB) == set()
    assert matcher.deployments_of(D1) == set()


def test_a_selected_label_that_nobody_carries() -> None:
    """One label that no device has is enough to select none of them."""
    matcher = Matcher()
    matcher.put_device(device(labels={"a": "1"}))
    matcher.put_deployment(deployment(selector={"a": "1", "b": "2"}))
    assert matcher.devices_of(WEB) == set()
    assert matcher.deployments_of(D1) == set()


@settings(max_examples=300)
@given(st.lists(st.one_of(devices, deployments, st.sampled_from(["d1", "d2", "web", "db"])), max_size=20))
def test_the_index_agrees_with_every_pair_looked_at(steps: list[Deployment | Device | str]) -> None:
    """After any puts and drops both directions are `selects` over what is there, and nothing is left behind."""
    matcher = Matcher()
    known: dict[str, Device] = {}
    wanting: dict[str, Deployment] = {}
    for step in steps:
        match step:
            case Device():
                matcher.put_device(step)
                known[step.name] = step
            case Deployment():
                matcher.put_deployment(step)
                wanting[step.name] = step
            case name:
                matcher.drop_device(DeviceId(name))
                matcher.drop_deployment(DeploymentName(name))
                known.pop(name, None)
                wanting.pop(name, None)
        for name in ("d1", "d2", "d.3"):
            expected = {n.name for n in wanting.values() if name in known and selects(n, known[name])}
            assert matcher.deployments_of(DeviceId(name)) == expected
        for name in ("web", "db", "log"):
            selected = {d.name for d in known.values() if name in wanting and selects(wanting[name], d)}
            assert matcher.devices_of(DeploymentName(name)) == selected
    for device_name in list(known):
        matcher.drop_device(DeviceId(device_name))
    for deployment_name in list(wanting):
        matcher.drop_deployment(DeploymentName(deployment_name))
    assert not matcher._devices_by_label
    assert not matcher._deployments_by_label
