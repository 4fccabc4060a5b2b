"""What podman tells of its containers is complete: across its service's end, its return, and a power cut."""

import pytest

from harness.history import ContainerEvent, Recorder
from harness.observers.containers import ContainerObserver
from harness.services.device_host import DeviceHost
from harness.services.payload_images import image

pytestmark = pytest.mark.needs("podman")


async def test_events_are_complete(host: DeviceHost, recorder: Recorder) -> None:
    """A container that started under the first service and died without one, and one of a later boot, are told."""
    observer = ContainerObserver(host.name, host.events, recorder).start()
    first = await host.podman("run", "--detach", "--name=first", "--label=service=web", image("v1"))
    await host.stop_podman()
    await host.podman("stop", "first")
    await host.podman("rm", "first")
    await host.start_podman()
    second = await host.podman("run", "--detach", "--name=second", image("v2"))
    await host.power_cut()
    await host.power_on()
    await host.podman("start", "second")
    await host.podman("rm", "--force", "--time=0", "second")
    await observer.close()
    wanted = {"create", "start", "died", "remove"}
    events = [event for event in recorder.history().of(ContainerEvent) if event.event in wanted]
    assert [(e.event, e.exit_code) for e in events if e.id == first] == [
        ("create", None),
        ("start", None),
        ("died", 0),
        ("remove", None),
    ]
    # Of the power cut podman knows nothing.
    assert [(e.event, e.exit_code) for e in events if e.id == second] == [
        ("create", None),
        ("start", None),
        ("start", None),
        ("died", 137),
        ("remove", None),
    ]
    assert {(e.name, e.image, e.labels.get("service")) for e in events} == {
        ("first", image("v1"), "web"),
        ("second", image("v2"), None),
    }
    assert all(0 < e.happened_s <= e.at_s for e in events)
