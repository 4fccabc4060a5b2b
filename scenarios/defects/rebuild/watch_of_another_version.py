"""The watch begins at whatever version there is by then, and not at that of the list."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from scenarios.defects.defect import Defect

T = TypeVar("T")


def _patch() -> None:
    watch, event = KubeClient.watch, Informer._event

    def from_now(
        self: KubeClient, resource: str, *, resource_version: str, timeout_s: int, silence_s_max: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        del resource_version
        return watch(self, resource, resource_version="", timeout_s=timeout_s, silence_s_max=silence_s_max)

    def news_only(self: Informer[T], line: bytes) -> None:
        # Such a watch begins by telling of every object once more; those that the list had are not looked at again.
        if line.startswith(b'{"type":"ADDED"') and self._decode.change(line).name in self._names:
            return
        event(self, line)

    KubeClient.watch = from_now  # type: ignore[method-assign] # the point of a defect
    Informer._event = news_only  # type: ignore[method-assign] # the point of a defect


WATCH_OF_ANOTHER_VERSION = Defect(
    name="watch-of-another-version",
    shape="cr-mutation-during-rebuild",
    case="list-to-watch-edit",
    check="equals-reference",
    story="The watch was started without a version, since some versions had been refused as too old. An edit that came "
    "between the list and the watch was never seen; with a busy API server that gap is seconds long.",
    patch=_patch,
)
