"""After 410 it watches again from the version that is gone."""

import asyncio
from typing import TypeVar

from fleet.backoff import Backoff
from fleet.kube.informer import Informer
from fleet.kube.transport import Expired
from scenarios.defects.defect import Defect

T = TypeVar("T")


def _patch() -> None:
    sound = Informer._watch

    async def watch(self: Informer[T], version: str) -> None:
        backoff = Backoff()
        while True:
            try:
                return await sound(self, version)
            except Expired as e:
                self._sink.lost(str(e))
                await asyncio.sleep(backoff.delay_s(lasted_s=0.0))

    Informer._watch = watch  # type: ignore[method-assign] # the point of a defect


OLD_VERSION_FOR_EVER = Defect(
    name="old-version-for-ever",
    shape="apiserver-away-mid-rebuild",
    case="converged-410-watch",
    check="converged-after-heal",
    story="The client library resumed a broken watch from its last resourceVersion, whatever the error was. Once etcd "
    "had compacted that version away, every attempt got 410, and the operator was blind until somebody restarted it.",
    patch=_patch,
)
