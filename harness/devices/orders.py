"""What devices are told where no operator runs: buckets as the contract has them, and desired-state written by hand."""

from collections.abc import Sequence
from typing import Self

from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.wire import (
    Bucket,
    DesiredState,
    Lifecycle,
    Owner,
    Pair,
    Score,
    Service,
    deployment_name,
    desired_key,
    device_id,
    kv_subject,
)
from harness.faults import streams
from harness.faults.buckets import honouring
from harness.services.nats_client import HarnessClient, close_client, connecting

_ANSWER_WITHIN_S = 5
_RECONNECT_EVERY_S = 0.02


class Orders:
    """The operator's hand. A new deployment gets an owner uid of its own, every change of it a higher generation."""

    def __init__(self, client: HarnessClient) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=_ANSWER_WITHIN_S)
        self._owners: dict[str, Owner] = {}
        self._uids = 0

    @classmethod
    async def connect(cls, url: str) -> Self:
        """`close` it. Raises ServiceError."""
        client = HarnessClient()
        async with connecting(client, url, "orders", reconnect_every_s=_RECONNECT_EVERY_S):
            return cls(client)

    async def close(self) -> None:
        """Idempotent."""
        await close_client(self._client)

    async def make_buckets(self, *buckets: Bucket) -> None:
        """All of them if none is named. Raises ServiceError."""
        for bucket in buckets or tuple(Bucket):
            await streams.make(self._js, self.config(bucket))

    def config(self, bucket: Bucket) -> StreamConfig:
        return honouring(bucket)

    async def put(
        self, device: str, deployment: str, services: Sequence[Service], lifecycle: Lifecycle | None = None
    ) -> DesiredState:
        """Write what this device is to run; each other write of the same deployment is the next generation."""
        owner = self._next_owner(deployment)
        desired = DesiredState(owner, Score(tuple(services), lifecycle or Lifecycle()))
        await self.write(device, deployment, desired.encode())
        return desired

    async def write(self, device: str, deployment: str, value: bytes) -> None:
        """Any bytes under that key. Raises ServiceError."""
        with streams.explained(f"{deployment} of {device} cannot be written"):
            await self._js.publish(kv_subject(Bucket.DESIRED_STATE, self._key(device, deployment)), value)

    async def delete(self, device: str, deployment: str) -> None:
        """A delete marker, as an operator leaves it. Raises ServiceError."""
        self._owners.pop(deployment, None)
        with streams.explained(f"{deployment} of {device} cannot be deleted"):
            await self._js.publish(
                kv_subject(Bucket.DESIRED_STATE, self._key(device, deployment)), b"", headers={"KV-Operation": "DEL"}
            )

    async def stored(self, bucket: Bucket, key: str) -> bytes | None:
        """The value under that key; None if there is none, or no bucket. Raises ServiceError."""
        try:
            with streams.explained(f"{bucket} key {key} cannot be read"):
                found = await (await self._js.key_value(bucket)).get(key)
        except NotFoundError:
            return None
        return found.value

    def _next_owner(self, deployment: str) -> Owner:
        before = self._owners.get(deployment)
        if before is None:
            self._uids += 1
            owner = Owner(f"uid-{deployment}-{self._uids}", 1)
        else:
            owner = Owner(before.uid, before.generation + 1)
        self._owners[deployment] = owner
        return owner

    @staticmethod
    def _key(device: str, deployment: str) -> str:
        return desired_key(Pair(device_id(device), deployment_name(deployment)))
