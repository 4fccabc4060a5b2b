"""What devices had reported is gone from the broker, without a marker: an emptied bucket, or only these pairs of it."""

from collections.abc import Collection

from nats.js.client import JetStreamContext

from fleet.wire import Bucket, Pair, state_key
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.fault import Fault
from harness.history import Op, Recorder
from harness.wait import wait_for

REPORTED_WITHIN_S = 20.0


class ReportsGone(Fault):
    """Purges device-state of some pairs. That they are gone stands in the history, as a delete by `admin`."""

    name = "reports-gone"

    def __init__(self, js: JetStreamContext, pairs: Collection[Pair], recorder: Recorder) -> None:
        self.target = f"{len(pairs)} keys of {Bucket.DEVICE_STATE}"
        self._js = js
        self._pairs = pairs
        self._recorder = recorder
        self._purged = 0
        self._held = 0

    async def apply(self) -> None:
        found = await streams.look(self._js, Bucket.DEVICE_STATE)
        self._held = found.messages if found is not None else 0
        for pair in self._pairs:
            invoked_s = self._recorder.now_s
            self._purged += await streams.purge(self._js, Bucket.DEVICE_STATE, state_key(pair))
            self._recorder.add(
                Op(
                    at_s=self._recorder.now_s,
                    client="admin",
                    action=f"delete {Bucket.DEVICE_STATE}",
                    target=f"{pair.device}.{pair.deployment}",
                    invoked_s=invoked_s,
                    outcome="ok",
                )
            )

    async def prove_active(self) -> str:
        if self._purged != len(self._pairs):
            raise ServiceError(f"the broker purged {self._purged} messages, not {len(self._pairs)}")
        return f"the broker purged {self._purged} messages of {Bucket.DEVICE_STATE}"

    async def heal(self) -> None:
        """The devices are to report again."""

    async def prove_healed(self) -> str:
        if not self._purged:
            raise ServiceError(f"{self.target}: they were never gone")

        async def again() -> str | None:
            found = await streams.look(self._js, Bucket.DEVICE_STATE)
            if found is None or found.messages < self._held:
                return None
            return f"{Bucket.DEVICE_STATE} holds {found.messages} keys again"

        return await wait_for(f"{self.target} to be there again", again, deadline_s=REPORTED_WITHIN_S)
