"""A small story that several tests tell on: one slot of one device, rolled from v1 to v2 as it should be."""

from fleet.wire import DesiredState, Owner, Score, Service
from harness.checks.tests.story import Story

V1, V2 = "localhost/payload:v1", "localhost/payload:v2"


def desired(*images: str, generation: int = 1) -> str:
    """Services main, side, of these images."""
    services = tuple(Service(name, image) for name, image in zip(("main", "side"), images, strict=False))
    return DesiredState(Owner("uid-app", generation), Score(services)).encode().decode()


def rolled() -> Story:
    """From v1 to v2, as it should be."""
    story = Story()
    story.stored("edge-1.app", desired(V1))
    story.containers(("create", "init", "start"), "a")
    story.stored("edge-1.app", desired(V2, generation=2))
    story.containers(("create",), "b", version="v2")
    story.container("died", "a", exit_code=0)
    story.container("cleanup", "a")
    story.containers(("init", "start"), "b", version="v2")
    story.container("remove", "a")
    return story
