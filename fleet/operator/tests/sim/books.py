"""What a process books of each feed: where its replay is, and all that it brings."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet.operator.tests.sim.broker import Message
from fleet.operator.tests.sim.feeds import Facts
from fleet.operator.tests.sim.kube import DEPLOYMENTS, Change
from fleet.wire import Bucket

if TYPE_CHECKING:
    from fleet.operator.tests.sim.process import Process


class InformerBooks:
    """An informer's sink."""

    def __init__(self, process: "Process", kind: str) -> None:
        self._process = process
        self._kind = kind

    def replay_started(self) -> None:
        self._process.recovery.started(self._kind)
        if self._kind == DEPLOYMENTS:
            self._process.status.restarted()

    def change(self, change: Change) -> None:
        self._process.fold_object(self._kind, change)

    def replayed(self) -> None:
        self._process.recovery.current(self._kind)
        self._process.wake()

    def lost(self, reason: str) -> None:
        self._process.recovery.lost(self._kind, reason)


class ReplicaBooks:
    """A replica's sink."""

    def __init__(self, process: "Process", bucket: Bucket, fold: Callable[[str, Message | None], None]) -> None:
        self._process = process
        self._bucket = bucket
        self._fold = fold
        self._new = False

    def replay_started(self) -> None:
        self._process.recovery.started(self._bucket.value)
        if self._bucket is Bucket.DESIRED_STATE:
            self._process.desired.restarted()

    def opened(self, facts: Facts) -> None:
        self._new = facts.made or facts.replaced
        if self._bucket is Bucket.DEVICE_HEARTBEAT:
            self._process.memory.opened(facts.created_s)
            self._process.state.liveness.opened(facts.created_s, facts.broker_now_s, self._process.now_s())

    def entry(self, key: str, message: Message | None) -> None:
        # A key that nobody can parse is left alone: R9 and K6 are tested where keys are parsed.
        if not key.startswith("..."):
            self._fold(key, message)
            self._process.wake()

    def replayed(self) -> None:
        process = self._process
        if self._bucket is Bucket.DEVICE_HEARTBEAT:
            process.state.liveness.connected(process.now_s())
            process.memory.connected_at_s = process.around.now_s()
        process.recovery.current(self._bucket.value)
        process.wake()
        if self._new and self._bucket is not Bucket.DESIRED_STATE:
            process.around.ask_again()
        self._new = False

    def lost(self, reason: str) -> None:
        if self._bucket is Bucket.DEVICE_HEARTBEAT:
            self._process.state.liveness.broken()
            self._process.memory.connected_at_s = None
        self._process.recovery.lost(self._bucket.value, reason)
