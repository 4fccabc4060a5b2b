"""The devices: each reports what it runs, beats, goes silent, has a clock of its own, reports again when asked."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from fleet.operator.decoding import Report
from fleet.operator.tests.sim.broker import MALFORMED, BucketModel, Message
from fleet.operator.tests.sim.judge import decode
from fleet.operator.tests.sim.story import Story
from fleet.wire import (
    Bucket,
    DeviceId,
    Owner,
    Pair,
    Phase,
    heartbeat_key,
    info_key,
    parse_desired_key,
    state_key,
)

BEAT_S = 2.0
_PHASES = [Phase.PENDING, Phase.RUNNING, Phase.FAILED, Phase.RUNNING]
YEAR_2099_S = 73 * 365 * 86400.0


def moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(unix_s * 1e6))


class Agent:
    """One device. It reads and writes the buckets itself: its own connection has no lag worth telling."""

    def __init__(
        self,
        name: DeviceId,
        labels: Mapping[str, str],
        buckets: Mapping[Bucket, BucketModel],
        *,
        now_s: Callable[[], float],
        chance: random.Random,
        story: Story,
    ) -> None:
        self.name = name
        self.labels = labels
        self.alive = True
        self.skew_s = 0.0
        # Its clock went back, or it sent garbage: who heard it before knows something else than who hears it only now.
        self.is_unsure = False
        # It beats, and does nothing else.
        self.stuck = False
        # Asked to publish all it has.
        self.asked = False
        self.runs: dict[Pair, tuple[Owner, Phase]] = {}
        self._buckets = buckets
        self._now_s = now_s
        self._chance = chance
        self._story = story
        self._beat_at_s = -BEAT_S

    def introduce(self) -> None:
        if self._buckets[Bucket.DEVICE_INFO].exists:
            self._put(Bucket.DEVICE_INFO, info_key(self.name), self.labels)

    def beat(self) -> None:
        """Beat if it is time to."""
        if self.alive and self._now_s() - self._beat_at_s >= BEAT_S and self._buckets[Bucket.DEVICE_HEARTBEAT].exists:
            self._beat_at_s = self._now_s()
            self._put(Bucket.DEVICE_HEARTBEAT, heartbeat_key(self.name), "beat")

    def step(self) -> None:
        """Look at one key, and do as it says or say again how it goes."""
        if not self.alive:
            return
        self.beat()
        if self.stuck:
            return
        if self.asked:
            self.publish_all()
        pairs = sorted({*self._keys(), *self.runs})
        if pairs:
            self._bring(self._chance.choice(pairs), again=True)

    def publish_all(self) -> None:
        """As asked on `fleet.republish`, and as agents do when a bucket is new. A forgotten one does not."""
        if not self.alive or self.stuck:
            return
        self.asked = False
        self._beat_at_s = -BEAT_S
        self.beat()
        if info_key(self.name) not in self._buckets[Bucket.DEVICE_INFO].messages:
            self.introduce()
        for pair in sorted(self.runs):
            if self._buckets[Bucket.DEVICE_STATE].live(state_key(pair)) is None:
                self._report(pair)

    def settle(self) -> None:
        """Do all that is to be done, and say so."""
        if self.is_unsure:
            self.is_unsure, self.skew_s, self.alive, self.stuck = False, 0.0, True, False
            for pair in sorted(self.runs):
                self._report(pair)
        self.beat()
        if self.alive and not self.stuck:
            for pair in sorted({*self._keys(), *self.runs}):
                self._bring(pair, again=False)
            self.publish_all()

    def garble(self) -> None:
        """Report what nobody understands."""
        if self.runs:
            self._put(Bucket.DEVICE_STATE, state_key(min(self.runs)), MALFORMED)
            self.is_unsure = True

    def _keys(self) -> dict[Pair, Message]:
        """What desired-state holds for it, as it holds it."""
        prefix = f"{self.name}."
        messages = self._buckets[Bucket.DESIRED_STATE].messages
        return {parse_desired_key(k): m for k, m in messages.items() if k.startswith(prefix)}

    def _bring(self, pair: Pair, *, again: bool) -> None:
        message = self._keys().get(pair)
        if message is None:
            # Nobody says that it is to stop.
            if again:
                self._progress(pair)
            return
        if message.value is None:
            if self.runs.pop(pair, None) is not None or self._buckets[Bucket.DEVICE_STATE].live(state_key(pair)):
                self._put(Bucket.DEVICE_STATE, state_key(pair), None)
            return
        desired = decode(message.value)
        if desired is None:
            return
        if pair not in self.runs or self.runs[pair][0] != desired.owner:
            self.runs[pair] = desired.owner, self._chance.choice(_PHASES)
            self._report(pair)
        elif again:
            self._progress(pair)

    def _progress(self, pair: Pair) -> None:
        self.runs[pair] = self.runs[pair][0], self._chance.choice(_PHASES)
        self._report(pair)

    def _report(self, pair: Pair) -> None:
        heartbeats = self._buckets[Bucket.DEVICE_HEARTBEAT]
        if not heartbeats.exists:
            return
        if heartbeat_key(self.name) not in heartbeats.messages:
            self._beat_at_s = -BEAT_S
            self.beat()
        owner, phase = self.runs[pair]
        at = moment(self._now_s() + self.skew_s)
        error = f"error {self._chance.randrange(3)}" if phase is Phase.FAILED else None
        self._put(Bucket.DEVICE_STATE, state_key(pair), Report(phase, at, owner.uid, owner.generation, error))

    def _put(self, bucket: Bucket, key: str, value: object | None) -> None:
        target = self._buckets[bucket]
        if target.exists and (value is not None or target.live(key) is not None):
            target.store(key, value, target.revision(key))
            if bucket is not Bucket.DEVICE_HEARTBEAT:
                self._story.tell("{} stores {} = {}", self.name, key, value)
