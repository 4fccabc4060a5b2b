"""A namespace emptied by hand, also of what the server's cache had not seen."""

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from harness.services.kube_answers import KubeApiError
from harness.services.kube_emptying import delete_all
from harness.services.kube_session import KubeSession

PATH = "/api/v1/namespaces/ns/configmaps"


class LateCache(KubeSession):
    """An API server whose cache lacks the objects in `late`; a delete fails by the status in `fails`."""

    def __init__(self, *, cached: list[str], late: list[str], fails: Mapping[str, int] | None = None) -> None:
        self._state = SimpleNamespace(there=[*cached, *late], late=late, fails=fails or {})

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "",
    ) -> object:
        del body, content_type
        state, name = self._state, path.rpartition("/")[2]
        if method == "GET":
            hidden = state.late if (params or {})["resourceVersion"] == "0" else []
            return {"items": [{"metadata": {"name": name}} for name in state.there if name not in hidden]}
        if name in state.fails:
            raise KubeApiError(f"{method} {path}", state.fails[name], "", "")
        state.there.remove(name)
        return {}

    @property
    def left(self) -> list[str]:
        return list(self._state.there)


async def test_what_the_cache_had_not_seen_is_deleted_too() -> None:
    """An object made just before the namespace began to go is not left behind."""
    server = LateCache(cached=["a", "b"], late=["c"])
    await delete_all(server, PATH, "7")
    assert server.left == []


async def test_what_is_gone_meanwhile_is_no_error() -> None:
    """Another hand may delete the same object."""
    server = LateCache(cached=["a", "b"], late=[], fails={"a": 404})
    await delete_all(server, PATH, "7")
    assert server.left == ["a"]


async def test_refused_delete_is_told() -> None:
    """What can't be deleted is no clean world."""
    with pytest.raises(KubeApiError, match="403"):
        await delete_all(LateCache(cached=["a"], late=[], fails={"a": 403}), PATH, "7")
