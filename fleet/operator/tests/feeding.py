"""Every source of one operator, fed by a test."""

from fleet.operator import sources
from fleet.operator.books import BESIDE, SOURCES, Books
from fleet.operator.keys import PairKeys
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.wire import DeploymentName, Pair


class Told:
    """A writer that only remembers what it heard."""

    def __init__(self) -> None:
        self.keys: list[Pair] = []
        self.names: list[tuple[str, bool]] = []
        self.restarts = 0

    def restarted(self) -> None:
        self.restarts += 1


class DesiredTold(Told):
    def heard(self, pair: Pair) -> None:
        self.keys.append(pair)


class StatusTold(Told):
    def heard(self, name: DeploymentName, *, status_changed: bool) -> None:
        self.names.append((name, status_changed))


class Fed:
    """Every source of one operator, and what came of their news."""

    def __init__(self) -> None:
        self.state = FleetState(90.0)
        self.recovery = Recovery(SOURCES, BESIDE)
        self.metrics = Metrics()
        self.wakes = 0
        self.lost_contents = 0
        self.now_s = 1000.0
        self.writer, self.ticker = DesiredTold(), StatusTold()
        self.books = books = Books(self.recovery, self.metrics, self._wake)
        keys = PairKeys()
        self.deployments = sources.deployments_source(self.state, books, self.ticker)
        self.devices = sources.devices_source(self.state, books)
        self.desired = sources.desired_source(self.state, books, keys, self.writer)
        self.reports = sources.reports_source(self.state, books, keys, self._content_lost)
        self.beats = sources.HeartbeatSource(
            self.state, books, keys, content_lost=self._content_lost, now_s=lambda: self.now_s
        )
        self.infos = sources.infos_source(self.state, books, keys, self._content_lost)
        self.gating = (self.reports, self.desired, self.devices, self.deployments, self.beats)

    def _wake(self) -> None:
        self.wakes += 1

    def _content_lost(self) -> None:
        self.lost_contents += 1

    def converge(self) -> None:
        for source in self.gating:
            source.replayed()
        self.wakes = 0

    def malformed(self, source: str) -> float:
        wanted = f'fleet_malformed_total{{source="{source}"}} '
        lines = self.metrics.render(self.recovery).decode().splitlines()
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))
