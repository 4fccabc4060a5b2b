"""Requests: statuses become our errors, and what is sent is what the API expects."""

import msgspec
import pytest
from aiohttp import web

from fleet.errors import Conflict, FleetError, NotFound, PeerAway, PeerRefused
from fleet.kube.client import Access, KubeClient
from fleet.kube.tests.conftest import FakeApi, device, page, status
from fleet.kube.transport import Expired

PATCH = {"metadata": {"resourceVersion": "7"}, "status": {"observedGeneration": 1}}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, PeerRefused),
        (401, PeerRefused),
        (403, PeerRefused),
        (404, NotFound),
        (408, PeerAway),
        (409, Conflict),
        (410, Expired),
        (422, PeerRefused),
        (429, PeerAway),
        (500, PeerAway),
        (503, PeerAway),
    ],
)
async def test_a_status_is_an_error_of_ours(api: FakeApi, kube: KubeClient, code: int, kind: type[FleetError]) -> None:
    """Definite, conflict, or away: one line with request, code and the server's message."""
    api.lists = [lambda: status(code, "two\nlines")]
    with pytest.raises(kind) as error:
        await kube.list_page("devices", limit=2, continue_token="")
    assert type(error.value) is kind
    assert str(error.value) == (
        f"GET /apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/devices: {api.url}: {code} two lines"
    )


async def test_an_error_without_a_message(api: FakeApi, kube: KubeClient) -> None:
    """A proxy's HTML is not shown; the code is."""
    api.lists = [lambda: web.Response(status=502, text="<html>")]
    with pytest.raises(PeerAway, match="502 without a message"):
        await kube.list_page("devices", limit=2, continue_token="")


async def test_a_status_patch_is_a_merge_patch(api: FakeApi, kube: KubeClient) -> None:
    """It goes to the subresource, as sent, and the new version comes back."""
    seen: list[tuple[str, str, str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers["Content-Type"], await request.json()))
        return web.json_response({"metadata": {"resourceVersion": "8"}})

    api.other = answer
    assert await kube.patch_status("deployments", "web", PATCH) == "8"
    path = "/apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/deployments/web/status"
    assert seen == [("PATCH", path, "application/merge-patch+json", PATCH)]


@pytest.mark.parametrize("allowed", [True, False])
async def test_access_is_asked_for(api: FakeApi, kube: KubeClient, *, allowed: bool) -> None:
    """One review per right, in the client's namespace."""
    seen: list[dict[str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.json())["spec"]["resourceAttributes"])
        return web.json_response({"status": {"allowed": allowed}})

    api.other = answer
    assert await kube.allowed(Access("patch", "deployments", "status")) is allowed
    assert seen == [
        {
            "namespace": "ns",
            "verb": "patch",
            "group": "fleet.fleetproof.dev",
            "resource": "deployments",
            "subresource": "status",
        }
    ]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "body",
    [b"<html>", b'{"metadata": {"resourceVersion": "\xff"}, "status": {"allowed": "\xff"}}', b'{"x":' + b"[" * 100_000],
    ids=["page", "no-utf8", "too-deep"],
)
async def test_garbage_instead_of_an_answer_is_away(api: FakeApi, kube: KubeClient, status: int, body: bytes) -> None:
    """A captive portal that answers 200, and an error that nobody can read, are trouble of the peer, not a crash."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    api.other = answer
    with pytest.raises(PeerAway, match="the server sent garbage" if status == 200 else "500 without a message"):
        await kube.allowed(Access("list", "devices"))
    with pytest.raises(PeerAway, match="the server sent garbage" if status == 200 else "500 without a message"):
        await kube.patch_status("deployments", "web", PATCH)


async def test_a_body_without_end_is_refused(api: FakeApi, kube: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list over the limit does not fill our memory."""
    monkeypatch.setattr("fleet.kube.transport._BODY_BYTES_MAX", 100)
    api.lists = [lambda: web.Response(text="x" * 500)]
    with pytest.raises(PeerRefused, match="a body of over 100 bytes"):
        await kube.list_page("devices", limit=2, continue_token="")


DEVICES = "/apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/devices"


class Script:
    """Answers requests in turn; writes down method, path, content type and body of each."""

    def __init__(self, api: FakeApi, *answers: web.Response) -> None:
        self.requests: list[tuple[str, str, str, object]] = []
        self._answers = list(answers)
        api.other = self._answer

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, request.headers.get("Content-Type", ""), body))
        return self._answers.pop(0)


def stored(version: str = "8") -> web.Response:
    return web.json_response({"metadata": {"resourceVersion": version}})


def taken() -> web.Response:
    return web.json_response({"code": 409, "reason": "AlreadyExists", "message": "there is one"}, status=409)


async def test_one_object_is_read_afresh(api: FakeApi, kube: KubeClient) -> None:
    """The bytes as the server wrote them, by a quorum read; None if there is no such object."""
    script = Script(api, web.Response(body=b'{"a": 1}'), status(404))
    assert await kube.get("devices", "d.1") == b'{"a": 1}'
    assert await kube.get("devices", "x/../y") is None
    assert [path for _, path, _, _ in script.requests] == [f"{DEVICES}/d.1", f"{DEVICES}/x%2F..%2Fy"]


async def test_a_create_says_whether_it_did(api: FakeApi, kube: KubeClient) -> None:
    """A name that is taken is an answer; another 409 is a conflict, and a missing namespace is not found."""
    script = Script(api, stored(), taken(), status(409), status(404))
    body = {"metadata": {"name": "d"}}
    assert await kube.create("devices", body)
    assert not await kube.create("devices", b'{"metadata": {"name": "d"}}')
    with pytest.raises(Conflict):
        await kube.create("devices", body)
    with pytest.raises(NotFound):
        await kube.create("devices", body)
    assert script.requests == [("POST", DEVICES, "application/json", body)] * 4


async def test_a_patch_is_a_merge_patch_of_the_object(api: FakeApi, kube: KubeClient) -> None:
    """It goes to the object itself; a 409 is a conflict, a 404 says that the object is gone."""
    script = Script(api, stored("9"), status(409), status(404))
    body = {"metadata": {"finalizers": ["a/b"], "resourceVersion": "7"}}
    assert await kube.patch("devices", "d", body) == "9"
    with pytest.raises(Conflict):
        await kube.patch("devices", "d", body)
    with pytest.raises(NotFound):
        await kube.patch("devices", "d", body)
    assert script.requests == [("PATCH", f"{DEVICES}/d", "application/merge-patch+json", body)] * 3


async def test_a_status_of_a_deployment_that_is_gone(api: FakeApi, kube: KubeClient) -> None:
    """NotFound, which is a refusal."""
    Script(api, status(404))
    with pytest.raises(NotFound):
        await kube.patch_status("deployments", "web", PATCH)


async def test_an_event_is_created_once(api: FakeApi, kube: KubeClient) -> None:
    """In the core group, in the client's namespace."""
    script = Script(api, stored(), taken())
    assert await kube.create_event({"kind": "Event"})
    assert not await kube.create_event({"kind": "Event"})
    assert {path for _, path, _, _ in script.requests} == {"/api/v1/namespaces/ns/events"}


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (web.json_response({"data": {"id": "7"}}), {"id": "7"}),
        (web.json_response({"metadata": {}}), {}),
        (web.json_response({"data": None}), {}),
        (status(404), None),
    ],
)
async def test_a_config_map_is_read(
    api: FakeApi, kube: KubeClient, answer: web.Response, texts: dict[str, str] | None
) -> None:
    """Its texts; one without any is empty, a missing one is None."""
    Script(api, answer)
    assert await kube.config_map("fleet-sweep") == texts


MAPS = "/api/v1/namespaces/ns/configmaps"
MERGE = "application/merge-patch+json"


async def test_a_config_map_is_patched(api: FakeApi, kube: KubeClient) -> None:
    """What is there is merged into, and None takes a text out."""
    script = Script(api, stored())
    await kube.write_config_map("m", {"id": "7", "approved": None})
    assert script.requests == [("PATCH", f"{MAPS}/m", MERGE, {"data": {"id": "7", "approved": None}})]


async def test_a_missing_config_map_is_created(api: FakeApi, kube: KubeClient) -> None:
    """Without the texts that were to go; if somebody else was faster, it is patched after all."""
    script = Script(api, status(404), taken(), stored())
    await kube.write_config_map("m", {"id": "7", "approved": None})
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"id": "7"}}
    patch = ("PATCH", f"{MAPS}/m", MERGE, {"data": {"id": "7", "approved": None}})
    assert script.requests == [patch, ("POST", MAPS, "application/json", manifest), patch]


async def test_the_clusters_identity(api: FakeApi, kube: KubeClient) -> None:
    """It is the uid of the namespace that every cluster has once."""
    script = Script(api, web.json_response({"metadata": {"uid": "u-1"}}))
    assert await kube.cluster_uid() == "u-1"
    assert [path for _, path, _, _ in script.requests] == ["/api/v1/namespaces/kube-system"]


async def test_a_missing_right_to_the_identity_is_named(api: FakeApi, kube: KubeClient) -> None:
    """Who may not read it is told which right that is."""
    Script(api, status(403))
    with pytest.raises(PeerRefused, match="needs the right to get namespaces kube-system, cluster-wide"):
        await kube.cluster_uid()


async def test_access_in_other_groups_and_to_the_cluster(api: FakeApi, kube: KubeClient) -> None:
    """The core group is the empty one; a right to a cluster's object names no namespace."""
    allowed = [web.json_response({"status": {"allowed": True}}) for _ in range(2)]
    script = Script(api, *allowed)
    events = Access("create", "events", group="")
    identity = Access("get", "namespaces", group="", namespaced=False, name="kube-system")
    assert await kube.allowed(events)
    assert await kube.allowed(identity)
    assert (str(events), str(identity)) == ("create events", "get namespaces kube-system")
    sent = [msgspec.convert(body, dict[str, object])["spec"] for *_, body in script.requests]
    assert sent == [
        {
            "resourceAttributes": {
                "namespace": "ns",
                "verb": "create",
                "group": "",
                "resource": "events",
                "subresource": "",
            }
        },
        {
            "resourceAttributes": {
                "verb": "get",
                "group": "",
                "resource": "namespaces",
                "subresource": "",
                "name": "kube-system",
            }
        },
    ]


async def names(kube: KubeClient) -> list[list[str]]:
    lists = [items async for items in kube.list_items("devices", limit=2)]
    return [[str(msgspec.json.decode(raw)["metadata"]["name"]) for raw in items] for items in lists]


async def test_all_items_page_by_page(api: FakeApi, kube: KubeClient) -> None:
    """In the order of the pages, by a quorum read."""
    api.lists = [
        lambda: page(device("a"), device("b"), token="t1"),  # noqa: S106 - a page token
        lambda: page(device("c")),
    ]
    assert await names(kube) == [["a", "b"], ["c"]]
    assert api.list_queries == [{"limit": "2"}, {"limit": "2", "continue": "t1"}]


async def test_items_are_of_one_version(api: FakeApi, kube: KubeClient) -> None:
    """A list that expires half-way starts again, and nothing of the first attempt is seen."""
    api.lists = [
        lambda: page(device("a"), token="t1"),  # noqa: S106 - a page token
        lambda: status(410),
        lambda: page(device("b"), version="200"),
    ]
    assert await names(kube) == [["b"]]


async def test_a_list_that_expires_again_and_again_is_given_up(api: FakeApi, kube: KubeClient) -> None:
    """After a few attempts the reader is told."""
    api.lists = [lambda: status(410)]
    with pytest.raises(Expired):
        await names(kube)
    assert len(api.list_queries) == 4


async def test_definitions_that_go(api: FakeApi, kube: KubeClient) -> None:
    """One that is being deleted and one that is gone already; one that stays is none."""
    leaving = web.json_response({"metadata": {"deletionTimestamp": "2026-11-21T09:00:00Z"}})
    script = Script(api, leaving, status(404))
    assert await kube.definitions_going() == ("deployments", "devices")
    paths = [path for _, path, _, _ in script.requests]
    assert paths == [f"{DEFINITIONS}/{name}.fleet.fleetproof.dev" for name in ("deployments", "devices")]
    stays = {"metadata": {"name": "deployments.fleet.fleetproof.dev"}}
    Script(api, web.json_response(stays), web.json_response(stays))
    assert await kube.definitions_going() == ()


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
