"""Sees each version of the custom resources of one namespace, on a watch of its own.

    list -> what differs from what was seen is recorded -> watch -> each version is recorded
      ^                                                      |
      +------ the server is away, the version too old -------+

A server that goes away takes the watch with it, and may come back with older data than it had. So a version is never
held for newer than one from before: what is listed then is compared with what was seen.
"""

import asyncio
from typing import Literal, Self

import msgspec

from harness.errors import ServiceError
from harness.history import Recorder, Resource
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable
from harness.wait import end_tasks, ticks

Event = Literal["added", "modified", "deleted"]

EVENTS: dict[str, Event] = {"ADDED": "added", "MODIFIED": "modified", "DELETED": "deleted"}
KINDS = {"deployments": "Deployment", "devices": "Device"}
_LIST_AGAIN_S = 0.1
_NOT_SERVED, _TOO_OLD, _TOO_MANY = 404, 410, 429


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    resource_version: str
    generation: int = 0
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: dict[str, object] = {}
    status: dict[str, object] = {}


class ResourceObserver:
    """One watch per resource, each in a task of its own; `close` it."""

    def __init__(self, admin: KubeAdmin, namespace: str, recorder: Recorder) -> None:
        self._followers = [_Follower(admin, resource, namespace, recorder) for resource in KINDS]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Self:
        """Raises ServiceError; nothing is left then."""
        try:
            for follower in self._followers:
                version = await follower.look()
                task = asyncio.create_task(follower.follow(version), name=f"observe {follower.resource}")
                self._tasks.append(task)
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Idempotent."""
        await end_tasks(self._tasks)

    async def drain(self, *, deadline_s: float = 5.0) -> None:
        """On return, the version that each object has now has been seen, and that the others are gone.

        Raises ServiceError: the server is away, or the watch ended or did not show them in time.
        """
        for follower in self._followers:
            await follower.drain(deadline_s)


class _Follower:
    """What was seen of one resource. `_looks` counts lists; it is `_live` while the watch after the last one holds."""

    def __init__(self, admin: KubeAdmin, resource: str, namespace: str, recorder: Recorder) -> None:
        self.resource = resource
        self._admin = admin
        self._namespace = namespace
        self._recorder = recorder
        self._seen: dict[str, _Object] = {}
        self._looks = 0
        self._live = False
        self._ended: BaseException | None = None
        self._news = asyncio.Condition()

    async def look(self) -> str:
        """List, and record what differs from what was seen. The version of the list, from which a watch goes on."""
        items, version = await self._admin.list_objects(self.resource, self._namespace)
        listed = {found.metadata.name: found for found in (msgspec.convert(item, _Object) for item in items)}
        for name, known in list(self._seen.items()):
            if name not in listed or listed[name].metadata.uid != known.metadata.uid:
                self._record("deleted", known)
        for name, found in listed.items():
            if name not in self._seen:
                self._record("added", found)
            elif self._seen[name] != found:
                # Not by its version alone: a store that went back gives the same numbers to other things.
                self._record("modified", found)
        self._looks += 1
        self._live = True
        await self._tell()
        return version

    async def follow(self, version: str) -> None:
        """Watch, and list again whenever the watch is no more. Raises KubeApiError for what does not pass by itself."""
        try:
            async for _ in ticks(_LIST_AGAIN_S):
                try:
                    if not self._live:
                        version = await self.look()
                    await self._watch(version)
                except (KubeUnreachable, KubeApiError) as e:
                    _raise_unless_passing(e)
                self._live = False
        except BaseException as e:
            self._ended = e
            raise
        finally:
            # Whoever waits for news is to learn that there will be none.
            await self._tell()

    async def drain(self, deadline_s: float) -> None:
        missing: list[str] = []
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    looks = self._looks
                    items, version = await self._admin.list_objects(self.resource, self._namespace)
                    wanted = {m.name: int(m.resource_version) for m in (_metadata(item) for item in items)}
                    async with self._news:
                        while self._ended is None:
                            missing = self._missing(wanted, int(version))
                            # Versions of before and after a new list are not compared: it is asked once more then.
                            if self._looks != looks or (self._live and not missing):
                                break
                            await self._news.wait()
                    if self._ended is not None:
                        raise ServiceError(f"{self.resource}: the watch ended: {self._ended}") from self._ended
                    if self._looks == looks:
                        return
        except TimeoutError as e:
            shown = f"did not show {missing[:3]}" if self._live else "did not come back"
            raise ServiceError(f"{self.resource}: the watch {shown} within {deadline_s:g} s") from e

    def _missing(self, wanted: dict[str, int], listed_at: int) -> list[str]:
        seen = {name: int(found.metadata.resource_version) for name, found in self._seen.items()}
        late = [name for name, version in wanted.items() if seen.get(name, 0) < version]
        # What is not in the list was deleted before it, unless it is younger than the list.
        return late + [name for name, version in seen.items() if name not in wanted and version <= listed_at]

    async def _watch(self, version: str) -> None:
        async for event, item in self._admin.watch(self.resource, self._namespace, version):
            if event in EVENTS:
                self._record(EVENTS[event], msgspec.convert(item, _Object))
                await self._tell()

    def _record(self, event: Event, found: _Object) -> None:
        labels = found.spec.get("labels")
        self._recorder.add(
            Resource(
                at_s=self._recorder.now_s,
                kind=KINDS[self.resource],
                name=found.metadata.name,
                event=event,
                uid=found.metadata.uid,
                resource_version=found.metadata.resource_version,
                generation=found.metadata.generation,
                deleting=found.metadata.deletion_timestamp is not None,
                labels=msgspec.convert(labels or {}, dict[str, str]),
                spec=found.spec,
                status=found.status,
            )
        )
        if event == "deleted":
            self._seen.pop(found.metadata.name, None)
        else:
            self._seen[found.metadata.name] = found

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _metadata(item: dict[str, object]) -> _Metadata:
    return msgspec.convert(item, _Object).metadata


def _raise_unless_passing(error: KubeUnreachable | KubeApiError) -> None:
    """The server is away or not ready, the resource is not served now, or the version is gone: all of it passes."""
    if isinstance(error, KubeApiError):
        passing = error.status in {_NOT_SERVED, _TOO_OLD, _TOO_MANY} or error.status >= 500  # noqa: PLR2004 - HTTP's
        if not passing:
            raise error
