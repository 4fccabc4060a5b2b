"""The names of the sources, and what they do alike: recovery progress, the wake-up of writers, and complaints."""

from collections.abc import Callable

from fleet.logs import get_logger
from fleet.operator import collector
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.wire import Bucket

DEPLOYMENTS = "deployments"
DEVICES = "devices"
DESIRED_STATE = Bucket.DESIRED_STATE.value
DEVICE_STATE = Bucket.DEVICE_STATE.value
DEVICE_HEARTBEAT = Bucket.DEVICE_HEARTBEAT.value
DEVICE_INFO = Bucket.DEVICE_INFO.value
SOURCES = (DEPLOYMENTS, DEVICES, DESIRED_STATE, DEVICE_STATE, DEVICE_HEARTBEAT)
# Registration and the sweep wait for it, and nothing else does.
BESIDE = (DEVICE_INFO,)
_COMPLAINTS_MAX = 10_000


class Books:
    """What every source does alike: recovery progress, the wake-up of writers, and complaints."""

    def __init__(self, recovery: Recovery, metrics: Metrics, wake: Callable[[], None]) -> None:
        self.recovery = recovery
        self.metrics = metrics
        self._wake = wake
        self.after_replay: Callable[[], None] = lambda: None
        self._log = get_logger("sources")
        self._complained: set[tuple[str, str]] = set()

    def wake(self) -> None:
        """There is news for the writers; before everything is current they would not act on it."""
        if self.recovery.converged:
            self._wake()

    def replay_started(self, source: str) -> None:
        self.recovery.started(source)
        self._log.info("replay_started", source=source)

    def replayed(self, source: str) -> None:
        was_current = self.recovery.sources[source].current
        was_converged = self.recovery.converged
        self.recovery.current(source)
        if not was_current:
            self._log.info("source_current", source=source, seen=self.recovery.sources[source].seen)
        if self.recovery.converged and not was_converged:
            self._log.info("converged")
            collector.after_replay()
        self.after_replay()
        self.wake()

    def lost(self, source: str, reason: str) -> None:
        self.recovery.lost(source, reason)
        self._log.warning("source_lost", source=source, reason=reason)

    def malformed(self, source: str, key: str, reason: str) -> None:
        self.metrics.malformed.labels(source).inc()
        if (source, key) not in self._complained:
            if len(self._complained) >= _COMPLAINTS_MAX:
                # Better to say it twice than to remember every key for ever.
                self._complained.clear()
            self._complained.add((source, key))
            self._log.warning("malformed", source=source, key=key, reason=reason)
