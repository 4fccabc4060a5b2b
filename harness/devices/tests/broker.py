"""A real broker with the buckets of the contract, and a hand that writes desired-state as an operator would."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.js.api import RePublish, StreamConfig
from nats.js.client import JetStreamContext

from fleet.wire import (
    DESIRED_SUBJECT_PREFIX,
    Bucket,
    DesiredState,
    Owner,
    Pair,
    Score,
    Service,
    deployment_name,
    desired_key,
    device_id,
    kv_subject,
    stream_name,
)
from harness.env import Foundation
from harness.history import Op, Recorder
from harness.services.nats import NatsServer
from harness.services.nats_client import close_client

DEADLINE_S = 10.0
SCORE = Score((Service("main", "registry.example/app:1"),))


def pair_of(device: str, deployment: str = "app") -> Pair:
    return Pair(device_id(device), deployment_name(deployment))


def desired_by(uid: str = "uid", generation: int = 1) -> DesiredState:
    return DesiredState(Owner(uid, generation), SCORE)


@dataclass(frozen=True, slots=True)
class Broker:
    server: NatsServer
    client: Client
    recorder: Recorder

    @property
    def js(self) -> JetStreamContext:
        return self.client.jetstream()

    async def make(self, buckets: Iterable[Bucket] = Bucket) -> None:
        """Make these buckets as the contract has them."""
        for bucket in buckets:
            prefix = f"{DESIRED_SUBJECT_PREFIX}.>"
            republish = RePublish(kv_subject(bucket, ">"), prefix) if bucket is Bucket.DESIRED_STATE else None
            await self.js.add_stream(
                StreamConfig(
                    name=stream_name(bucket),
                    subjects=[kv_subject(bucket, ">")],
                    max_msgs_per_subject=1,
                    allow_rollup_hdrs=True,
                    allow_direct=True,
                    republish=republish,
                )
            )

    async def desire(self, pair: Pair, value: bytes | None = None) -> int:
        ack = await self.js.publish(self._subject(pair), desired_by().encode() if value is None else value)
        return ack.seq

    async def undesire(self, pair: Pair, operation: str = "DEL") -> None:
        headers = {"KV-Operation": operation} | ({"Nats-Rollup": "sub"} if operation == "PURGE" else {})
        await self.js.publish(self._subject(pair), b"", headers=headers)

    async def last(self, bucket: Bucket, key: str) -> tuple[bytes, dict[str, str]]:
        """Value and headers of the last message of a key."""
        message = await self.js.get_last_msg(stream_name(bucket), kv_subject(bucket, key))
        return message.data or b"", dict(message.headers or {})

    async def messages(self, bucket: Bucket) -> int:
        return (await self.js.stream_info(stream_name(bucket))).state.messages

    def ops(self, outcome: str | None = None) -> list[Op]:
        return [op for op in self.recorder.history().of(Op) if outcome in (None, op.outcome)]

    @staticmethod
    def _subject(pair: Pair) -> str:
        return kv_subject(Bucket.DESIRED_STATE, desired_key(pair))


@contextlib.asynccontextmanager
async def running_broker(foundation: Foundation, folder: Path) -> AsyncIterator[Broker]:
    """Without buckets at first."""
    recorder = Recorder(folder / "broker-history.jsonl")
    server = await NatsServer.start(foundation.nats_binary, folder / "nats", warden=foundation.warden)
    client = await nats.connect(server.url)
    try:
        yield Broker(server, client, recorder)
    finally:
        await close_client(client)
        await server.stop()
        recorder.close()
