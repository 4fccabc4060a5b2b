"""How news reach an operator: a list or a replay, then every change, late by as much as chance likes, never reordered.

Each feed does one small thing per `step`; what is under way between two steps waits like bytes in a socket.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from fleet.errors import PeerAway
from fleet.operator.tests.sim.broker import BucketModel, Message
from fleet.operator.tests.sim.kube import Change, KubeModel
from fleet.operator.tests.sim.tasks import Steps

_CHECK_S = 2.0
_CAUGHT_UP_S_MAX = 5.0
_TAKEN_AT_ONCE = 4

Reached = tuple[int, int]
"""How far a feed has told: incarnation and revision of a bucket; 0 and the place in the log of the API server."""


class InformerSink(Protocol):
    def replay_started(self) -> None: ...
    def change(self, change: Change) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class InformerFeed:
    """List and watch of one kind."""

    def __init__(self, kube: KubeModel, kind: str, sink: InformerSink, chance: random.Random) -> None:
        self._kube = kube
        self._kind = kind
        self._sink = sink
        self._chance = chance
        self._names: set[str] = set()
        # What the list brought and was not handed on yet; None while there is no list and no watch.
        self._listed: deque[Change] | None = None
        self._listing: set[str] = set()
        self._position = 0
        self.current = False

    @property
    def reached(self) -> Reached:
        return 0, self._position

    @property
    def behind(self) -> bool:
        return not self.current or self._position < len(self._kube.logs[self._kind])

    def broken(self, reason: str) -> None:
        """The watch ended badly, or is not trusted any more."""
        self.current = False
        self._listed = None
        self._sink.lost(reason)

    def step(self) -> None:
        if self._listed is None:
            self._list()
        elif not self.current:
            self._hand_on(self._listed)
        elif self._position < self._kube.oldest[self._kind]:
            self.broken("410")
        elif self._position < len(self._kube.logs[self._kind]):
            self._position += 1
            self._take(self._kube.logs[self._kind][self._position - 1])

    def _list(self) -> None:
        objects, unreadable = self._kube.of(self._kind), self._kube.unreadable
        listed = [Change(name, item, (self._kind, name) not in unreadable) for name, item in objects.items()]
        self._chance.shuffle(listed)
        self._listed, self._listing = deque(listed), set()
        self._position = len(self._kube.logs[self._kind])
        self._sink.replay_started()

    def _hand_on(self, listed: deque[Change]) -> None:
        if listed:
            change = listed.popleft()
            self._listing.add(change.name)
            self._take(change)
            return
        if self._names != self._listing:
            for name in sorted(self._names - self._listing):
                self._sink.change(Change(name, None, readable=True))
            self._names = self._listing
            return
        self.current = True
        self._sink.replayed()

    def _take(self, change: Change) -> None:
        (self._names.discard if change.item is None else self._names.add)(change.name)
        self._sink.change(change)


class Facts(NamedTuple):
    created_s: float
    broker_now_s: float
    made: bool
    replaced: bool


class ReplicaSink(Protocol):
    def replay_started(self) -> None: ...
    def opened(self, facts: Facts) -> None: ...
    def entry(self, key: str, message: Message | None) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class _Session:
    """One consumer: what it has told, what waits in its queue, and the proof under way."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.taken = 0
        self.told = 0
        self.queue: deque[Message] = deque()
        self.keys: dict[str, int] = {}
        self.complete = False
        self.current = False
        # The stream's last revision and its number of messages, as it said them at once.
        self.proof: tuple[int, int] | None = None
        self.checked_at_s = 0.0


class ReplicaFeed:
    """Replay and watch of one bucket, proved by counting as `fleet.bus.replica` does it."""

    def __init__(
        self,
        bucket: BucketModel,
        sink: ReplicaSink,
        chance: random.Random,
        *,
        now_s: Callable[[], float],
        is_connected: Callable[[], bool],
    ) -> None:
        self._bucket = bucket
        self._sink = sink
        self._chance = chance
        self._now_s = now_s
        self._is_connected = is_connected
        self._known: set[str] = set()
        self._incarnation = 0
        self._session: _Session | None = None
        self.reached: Reached = (0, 0)

    @property
    def current(self) -> bool:
        return self._session is not None and self._session.current

    @property
    def behind(self) -> bool:
        """Whether there is something to do now."""
        session = self._session
        if session is None or not session.current or session.queue or session.proof is not None:
            return True
        due = self._now_s() - session.checked_at_s >= _CHECK_S
        return due or (session.incarnation == self._bucket.incarnation and bool(self._bucket.after(session.taken)))

    def broken(self, reason: str) -> None:
        session = self._session
        if session is not None:
            self._known = set(session.keys) if session.complete else self._known | set(session.keys)
            self._session = None
            self._sink.lost(reason)

    def recheck(self, reason: str) -> None:
        """Time passed unnoticed: nothing is current before it is proved again, by an answer from after now."""
        session = self._session
        if session is not None:
            session.current = False
            session.proof = None
            session.checked_at_s = -_CHECK_S
            self._sink.lost(reason)

    def caught_up(self) -> Steps[None]:
        """On return all that was stored before the call has been told. Raises PeerAway."""
        incarnation, last, exists = self._bucket.incarnation, self._bucket.last_revision, self._bucket.exists
        at_call, until_s = self._session, self._now_s() + _CAUGHT_UP_S_MAX
        if at_call is not None and (not exists or at_call.incarnation != incarnation):
            self.broken("another stream")
        while True:
            session = self._session
            if session is not None and session.complete:
                if session is not at_call:
                    return
                if self._passed(session, last):
                    self.reached = max(self.reached, (session.incarnation, last))
                    return
            if self._now_s() > until_s:
                raise PeerAway("not caught up")
            yield lambda: True

    def step(self) -> None:
        session = self._session
        if session is None:
            if self._is_connected():
                self._open()
        elif session.queue and self._chance.random() < 0.6:
            self._tell(session, session.queue.popleft())
        elif session.proof is not None or self._now_s() - session.checked_at_s >= _CHECK_S or not session.current:
            self._take(session)
            self._prove(session)
        else:
            self._take(session)

    def _open(self) -> None:
        made = self._bucket.make()
        session = self._session = _Session(self._bucket.incarnation)
        replaced = self._incarnation not in {0, session.incarnation}
        self._incarnation = session.incarnation
        session.checked_at_s = self._now_s()
        self._sink.replay_started()
        self._sink.opened(Facts(self._bucket.created_s, self._now_s(), made, replaced))

    def _take(self, session: _Session) -> None:
        """Some of what the stream holds goes under way to us. A consumer of a stream that is gone stays silent."""
        if session.incarnation != self._bucket.incarnation:
            return
        for message in self._bucket.after(session.taken)[: self._chance.randint(1, _TAKEN_AT_ONCE)]:
            session.queue.append(message)
            session.taken = message.revision

    def _tell(self, session: _Session, message: Message) -> None:
        session.told = message.revision
        session.keys.setdefault(message.key, message.revision)
        self.reached = max(self.reached, (session.incarnation, message.revision))
        self._sink.entry(message.key, message)

    def _passed(self, session: _Session, last: int) -> bool:
        """Nothing up to `last` is still to come to us."""
        if session.queue and session.queue[0].revision <= last:
            return False
        rest = self._bucket.after(session.taken) if session.incarnation == self._bucket.incarnation else []
        return not rest or rest[0].revision > last

    def _prove(self, session: _Session) -> None:
        if session.proof is None:
            if not self._bucket.exists or self._bucket.incarnation != session.incarnation:
                self.broken("another stream")
                return
            session.proof = self._bucket.last_revision, len(self._bucket.messages)
            return
        last, messages = session.proof
        if not self._passed(session, last):
            return
        session.proof = None
        keys = sum(1 for first in session.keys.values() if first <= last)
        if keys > messages:
            self.broken("keys vanished")
        elif keys == messages:
            session.checked_at_s = self._now_s()
            self.reached = max(self.reached, (session.incarnation, last))
            self._confirm(session)

    def _confirm(self, session: _Session) -> None:
        if session.current:
            return
        if not session.complete:
            for key in sorted(self._known - session.keys.keys()):
                self._sink.entry(key, None)
        session.complete = session.current = True
        self._sink.replayed()


Feeds = Mapping[str, InformerFeed | ReplicaFeed]
