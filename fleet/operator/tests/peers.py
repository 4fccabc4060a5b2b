"""The two peers, in memory: a broker's buckets with revisions and fences, and an API server's objects with versions.

Both do what the real ones do to a fenced write, and what a test asks for beyond that: refuse, hang, be away.
"""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from nats.js.api import PubAck
from nats.js.client import JetStreamContext
from nats.js.errors import APIError

from fleet.crds import API_VERSION
from fleet.errors import Conflict, NotFound, PeerError
from fleet.kube.client import Access, Body, KubeClient
from fleet.kube.objects import Deployment, Device
from fleet.wire import Bucket

_FIRST_REVISION = 1000


class Write(NamedTuple):
    """A write that reached the broker, whatever became of it."""

    operation: str
    key: str
    expected: int


class Stored(NamedTuple):
    """A key's last message; `value` is None for a delete marker."""

    revision: int
    value: bytes | None


@dataclass(slots=True)
class _Reply:
    data: bytes


class Broker(JetStreamContext):
    """Buckets. `refuse` says what to raise instead of storing a write; while `gate` is shut, writes wait."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.reads: list[str] = []
        self.stored: dict[tuple[Bucket, str], Stored] = {}
        self.refuse: Callable[[Write], BaseException | None] = lambda _: None
        # Runs after a read was answered and before the answer is there.
        self.after_read: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.at_once_max = 0
        self._revisions = itertools.count(_FIRST_REVISION)
        # What `fleet.bus.api` reaches for.
        self._nc = self  # type: ignore[assignment] # it asks for `request` alone
        self._prefix = "$JS.API"

    def store(self, bucket: Bucket, key: str, value: bytes | None, *, revision: int | None = None) -> Stored:
        """Somebody's message."""
        revision = next(self._revisions) if revision is None else revision
        stored = self.stored[bucket, key] = Stored(revision, value)
        return stored

    def revision(self, bucket: Bucket, key: str) -> int:
        stored = self.stored.get((bucket, key))
        return stored.revision if stored is not None else 0

    def desired(self) -> list[Write]:
        """In an order of its own: that in which a set is gone through says nothing."""
        return sorted(self.writes)

    async def publish(  # noqa: PLR0917 - nats-py's signature
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float | None = None,  # noqa: ASYNC109 - nats-py's signature
        stream: str | None = None,
        headers: dict[str, str] | None = None,
        msg_ttl: float | None = None,
    ) -> PubAck:
        assert timeout is not None
        assert msg_ttl is None
        bucket, key = Bucket(subject.split(".")[1]), subject.split(".", 2)[2]
        assert stream == f"KV_{bucket.value}"
        assert headers is not None
        deletes = headers.get("KV-Operation") == "DEL"
        write = Write("delete" if deletes else "put", key, int(headers["Nats-Expected-Last-Subject-Sequence"]))
        self.writes.append(write)
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if error := self.refuse(write):
            raise error
        if write.expected != self.revision(bucket, key):
            raise APIError(code=400, err_code=10071, description="wrong last sequence")
        return PubAck(stream, self.store(bucket, key, None if deletes else payload).revision)

    async def request(self, subject: str, data: bytes, timeout: float) -> _Reply:  # noqa: ASYNC109 - nats-py's
        assert timeout > 0
        assert subject.startswith("$JS.API.STREAM.MSG.GET.KV_")
        _, name, key = json.loads(data)["last_by_subj"].split(".", 2)
        self.reads.append(key)
        stored = self.stored.get((Bucket(name), key))
        await asyncio.sleep(0)
        self.after_read()
        if stored is None:
            error = {"code": 404, "err_code": 10037, "description": "no message found"}
            return _Reply(json.dumps({"error": error}).encode())
        headers = b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n" if stored.value is None else b""
        message = {
            "seq": stored.revision,
            "time": "2026-01-01T00:00:00Z",
            "data": base64.b64encode(stored.value or b"").decode(),
            "hdrs": base64.b64encode(headers).decode(),
        }
        return _Reply(json.dumps({"message": message}).encode())


class Call(NamedTuple):
    """A request that reached the API server, whatever became of it."""

    verb: str
    what: str
    body: object = None


Object = dict[str, object]


class Kube(KubeClient):
    """Objects by resource and name. `refuse` says what to raise instead of an answer; requests wait at the `gate`."""

    def __init__(self) -> None:
        self.namespace = "ns"
        self.calls: list[Call] = []
        self.objects: dict[str, dict[str, Object]] = {"deployments": {}, "devices": {}}
        self.config_maps: dict[str, dict[str, str]] = {}
        self.events: dict[str, Mapping[str, object]] = {}
        self.refuse: Callable[[Call], PeerError | None] = lambda _: None
        self.denied: set[str] = set()
        self.going: tuple[str, ...] = ()
        self.gate = asyncio.Event()
        self.gate.set()
        self._versions = itertools.count(100)

    @property
    def server(self) -> str:
        return "https://kube.example"

    def put(self, *objects: Deployment | Device | Object) -> None:
        """Store objects as they are."""
        for thing in objects:
            item = thing if isinstance(thing, dict) else manifest(thing)
            metadata = item["metadata"]
            assert isinstance(metadata, dict)
            self.objects["deployments" if item["kind"] == "Deployment" else "devices"][metadata["name"]] = item

    def verbs(self, *verbs: str) -> list[Call]:
        return [call for call in self.calls if call.verb in verbs]

    async def _asked(self, verb: str, what: str, body: object = None) -> None:
        call = Call(verb, what, body)
        self.calls.append(call)
        await self.gate.wait()
        if error := self.refuse(call):
            raise error

    async def get(self, resource: str, name: str) -> bytes | None:
        await self._asked("get", f"{resource}/{name}")
        item = self.objects[resource].get(name)
        return None if item is None else msgspec.json.encode(item)

    async def list_page(self, resource: str, *, limit: int, continue_token: str) -> bytes:
        assert limit == 1
        assert not continue_token
        await self._asked("list", resource)
        return b"{}"

    async def list_items(self, resource: str, *, limit: int = 500) -> AsyncIterator[list[msgspec.Raw]]:
        await self._asked("list", resource)
        raw = [msgspec.Raw(msgspec.json.encode(item)) for item in self.objects[resource].values()]
        for begin in range(0, len(raw), limit):
            yield raw[begin : begin + limit]

    async def create(self, resource: str, body: Body) -> bool:
        await self._asked("create", resource, body)
        assert isinstance(body, dict)
        name = body["metadata"]["name"]
        if name in self.objects[resource]:
            return False
        self.objects[resource][name] = body
        return True

    async def patch(self, resource: str, name: str, body: Body) -> str:
        await self._asked("patch", f"{resource}/{name}", body)
        return self._merge(resource, name, body)

    async def patch_status(self, resource: str, name: str, patch: Body) -> str:
        await self._asked("patch-status", f"{resource}/{name}", patch)
        return self._merge(resource, name, patch)

    def _merge(self, resource: str, name: str, body: Body) -> str:
        item = self.objects[resource].get(name)
        if item is None:
            raise NotFound(f"{resource} {name}")
        before = msgspec.json.decode(msgspec.json.encode(item))
        patch = msgspec.json.decode(msgspec.json.encode(body))
        if patch["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        after = merged(before, patch)
        assert isinstance(after, dict)
        if after != before:
            after["metadata"]["resourceVersion"] = str(next(self._versions))
            self.objects[resource][name] = after
        version: str = after["metadata"]["resourceVersion"]
        return version

    async def create_event(self, body: Body) -> bool:
        assert isinstance(body, dict)
        name = body["metadata"]["name"]
        await self._asked("create-event", name, body)
        if name in self.events:
            return False
        self.events[name] = body
        return True

    async def config_map(self, name: str) -> Mapping[str, str] | None:
        await self._asked("get", f"configmaps/{name}")
        return self.config_maps.get(name)

    async def write_config_map(self, name: str, data: Mapping[str, str | None]) -> None:
        await self._asked("write", f"configmaps/{name}", dict(data))
        texts = self.config_maps.setdefault(name, {})
        for key, text in data.items():
            if text is None:
                texts.pop(key, None)
            else:
                texts[key] = text

    async def cluster_uid(self) -> str:
        await self._asked("get", "namespaces/kube-system")
        return "cluster-uid"

    async def definitions_going(self) -> tuple[str, ...]:
        return self.going

    async def allowed(self, access: Access) -> bool:
        await self._asked("review", str(access))
        return str(access) not in self.denied

    async def close(self) -> None:
        self.calls.append(Call("close", ""))


def merged(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def manifest(thing: Deployment | Device) -> Object:
    """Write an object as the API server has it."""
    metadata: Object = {
        "name": thing.name,
        "uid": thing.uid,
        "generation": thing.generation,
        "resourceVersion": thing.resource_version,
        "finalizers": list(thing.finalizers),
    }
    if thing.deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    if isinstance(thing, Device):
        spec: Object = {"labels": dict(thing.labels), "blocked": thing.blocked}
        return {"apiVersion": API_VERSION, "kind": "Device", "metadata": metadata, "spec": spec}
    services = [{"name": service.name, "image": service.image} for service in thing.score.services]
    return {
        "apiVersion": API_VERSION,
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"targetSelector": {"matchLabels": dict(thing.selector)}, "services": services},
        "status": dict(thing.status),
    }
