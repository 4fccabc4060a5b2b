"""The operator's counters, in the Prometheus text format, from a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fleet.operator.recovery import Recovery


class Metrics:
    """One operator's numbers. `render` brings the gauges up to date first."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.writes = Counter(
            "fleet_desired_writes", "Writes of desired-state keys", ["operation", "outcome"], registry=self._registry
        )
        self.patches = Counter(
            "fleet_status_patches", "Status patches sent to the API server", ["outcome"], registry=self._registry
        )
        self.malformed = Counter(
            "fleet_malformed", "Entries that could not be understood", ["source"], registry=self._registry
        )
        self.objects = Counter(
            "fleet_object_writes",
            "Finalizers, registrations and forgotten devices",
            ["step", "outcome"],
            registry=self._registry,
        )
        self.events_lost = Counter(
            "fleet_events_lost", "Kubernetes Events that could not be told", registry=self._registry
        )
        self.standstills = Counter("fleet_standstills", "Times that the process stood still", registry=self._registry)
        self.tick_seconds = Histogram(
            "fleet_status_tick_seconds", "Time that one status tick took", registry=self._registry
        )
        self._converged = Gauge("fleet_recovery_converged", "1 while every source is current", registry=self._registry)
        self.sweep_held = Gauge(
            "fleet_sweep_held_keys", "Keys that wait for `fleet approve-sweep`", registry=self._registry
        )
        self._seen = Gauge("fleet_recovery_source_seen", "Entries replayed so far", ["source"], registry=self._registry)
        self._current = Gauge(
            "fleet_recovery_source_current", "1 while the source is current", ["source"], registry=self._registry
        )

    def render(self, recovery: Recovery) -> bytes:
        self._converged.set(recovery.converged)
        for name, source in recovery.sources.items():
            self._seen.labels(name).set(source.seen)
            self._current.labels(name).set(source.current)
        return generate_latest(self._registry)
