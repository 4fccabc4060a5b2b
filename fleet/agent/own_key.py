"""A key that only this device writes: every write fenced by the revision that it replaces, ours put over any other."""

from collections.abc import Callable

from fleet.agent.link import Link
from fleet.bus import reads, writes
from fleet.bus.entry import Entry
from fleet.errors import Conflict
from fleet.logs import get_logger
from fleet.wire import Bucket

_CONFLICTS_MAX = 3


class OwnKey:
    """Knows what is stored under the key, as long as nobody else writes it; `disturbed` is called when somebody did.

    Its methods raise PeerAway (whether it was written is unknown, and looked up before the next attempt), PeerRefused,
    and Conflict if others write as fast as we do.
    """

    def __init__(self, link: Link, bucket: Bucket, key: str, disturbed: Callable[[], None] = lambda: None) -> None:
        self._link = link
        self._bucket = bucket
        self._key = key
        self._disturbed = disturbed
        self._entry: Entry | None = None
        self._known = False
        self._log = get_logger("own-key")

    def learn(self, entry: Entry | None) -> None:
        """Somebody read the key. None: it left no trace."""
        self._entry, self._known = entry, True

    def forget(self) -> None:
        """It may have changed: ask before the next write."""
        self._known = False

    async def put(self, over: Callable[[bytes | None], bytes | None]) -> None:
        """Store what `over` makes of the stored value (None: no value); nothing is written if it makes None."""

        def change(stored: Entry | None) -> bytes | None:
            return over(stored.value if stored else None)

        await self._insist(change, delete=False)

    async def delete(self) -> None:
        """On return there is no value; nothing is written if there was none."""

        def change(stored: Entry | None) -> bytes | None:
            return b"" if stored and stored.value is not None else None

        # Nothing comes after a deletion that would show that a server which lags told us of no value.
        self.forget()
        await self._insist(change, delete=True)

    async def _insist(self, change: Callable[[Entry | None], bytes | None], *, delete: bool) -> None:
        for attempt in range(1, _CONFLICTS_MAX + 1):
            value = change(await self._stored())
            if value is None:
                return
            try:
                await self._write(value, delete=delete)
            except Conflict as e:
                # One writer for each key is the contract; but a bucket may be made again, and a device be forgotten.
                self._log.warning("own_key_changed", bucket=self._bucket.value, key=self._key, reason=str(e))
                self._disturbed()
                if attempt == _CONFLICTS_MAX:
                    raise
            else:
                return

    async def _stored(self) -> Entry | None:
        if not self._known:
            async with self._link.life() as js:
                self.learn(await reads.get(js, self._bucket, self._key))
        return self._entry

    async def _write(self, value: bytes, *, delete: bool) -> None:
        expected = self._entry.revision if self._entry else 0
        self._known = False
        async with self._link.life() as js:
            if delete:
                revision = await writes.delete(js, self._bucket, self._key, expected=expected)
            else:
                revision = await writes.put(js, self._bucket, self._key, value, expected=expected)
        self.learn(Entry(self._key, revision, None if delete else value))
