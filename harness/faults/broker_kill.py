"""The broker dies (SIGKILL) and comes back: with what it had stored, or with nothing."""

import asyncio

from nats.js.client import JetStreamContext

from fleet.wire import Bucket
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.fault import Fault
from harness.services.nats import NatsServer
from harness.services.ports import HOST
from harness.wait import wait_for

_GREETING_WITHIN_S = 2.0
_ANSWER_WITHIN_S = 10.0


class BrokerKilled(Fault):
    """The server is killed; healing starts it again on its store. `js` is of a connection that outlives it."""

    name = "broker-killed"
    target = "broker"

    def __init__(self, server: NatsServer, js: JetStreamContext) -> None:
        self._server = server
        self._js = js

    async def apply(self) -> None:
        await self._server.kill()

    async def prove_active(self) -> str:
        try:
            async with asyncio.timeout(_GREETING_WITHIN_S):
                _, writer = await asyncio.open_connection(HOST, self._server.port)
        except (OSError, TimeoutError):
            return f"nobody answers at {self._server.address}"
        writer.transport.abort()
        raise ServiceError(f"somebody answers at {self._server.address}")

    async def heal(self) -> None:
        await self._server.restart()

    async def prove_healed(self) -> str:
        return f"JetStream answers again: {await self._answers()} of its buckets are there"

    async def _answers(self) -> int:
        """How many of the buckets a server that is back knows of."""

        async def probe() -> int:
            return len([bucket for bucket in Bucket if await streams.look(self._js, bucket) is not None])

        return await wait_for("JetStream to answer", probe, deadline_s=_ANSWER_WITHIN_S, expect=(ServiceError,))


class StoreWiped(BrokerKilled):
    """The server is killed and all that it stored is gone, as with a volume that was made anew."""

    name = "store-wiped"

    def __init__(self, server: NatsServer, js: JetStreamContext) -> None:
        super().__init__(server, js)
        self._before: dict[Bucket, str] = {}

    async def apply(self) -> None:
        for bucket in Bucket:
            found = await streams.look(self._js, bucket)
            if found is not None:
                self._before[bucket] = found.created
        await self._server.wipe()

    async def prove_active(self) -> str:
        down = await super().prove_active()
        left = [path for path in self._server.store_path.rglob("*") if path.is_file()]
        if left or not self._before:
            raise ServiceError(f"{len(left)} files of {len(self._before)} buckets are left in the store")
        return f"{down}, and nothing is left of {len(self._before)} buckets"

    async def prove_healed(self) -> str:
        """It is back, and none of the buckets is the one that it was."""
        await self._answers()
        for bucket, created in self._before.items():
            found = await streams.look(self._js, bucket)
            if found is not None and found.created == created:
                raise ServiceError(f"{bucket} of {created} is still there: nothing was wiped")
        return f"JetStream answers again, and knows none of the {len(self._before)} buckets that it had"
