"""The parts of an operator without its loops, on two peers in memory."""

from fleet.kube.objects import Deployment, Device
from fleet.operator.announcer import Announcer
from fleet.operator.books import BESIDE, SOURCES
from fleet.operator.desired_keys import Cell
from fleet.operator.http import Health
from fleet.operator.metrics import Metrics
from fleet.operator.parts import Parts
from fleet.operator.recovery import Recovery
from fleet.operator.standstill import Standstill
from fleet.operator.tests.peers import Broker, Kube
from fleet.operator.tests.samples import fleet_state
from fleet.operator.tests.turns import Stopwatch, converged
from fleet.wire import Bucket, Pair, decode_desired_state, desired_key, parse_desired_key

DESIRED = Bucket.DESIRED_STATE


class World:
    """What the loops share; `stopwatch` is the clock by which standstills are noticed."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.state = fleet_state()
        self.recovery = Recovery(SOURCES, BESIDE)
        self.metrics = Metrics()
        self.health = Health()
        self.broker = Broker()
        self.kube = Kube()
        self.stopwatch = stopwatch
        self.stills: list[float] = []
        self.standstill = Standstill(self._stood_still)
        self.announcer = Announcer(self.state, self.kube, self.metrics)
        self.parts = Parts(
            state=self.state,
            recovery=self.recovery,
            standstill=self.standstill,
            js=self.broker,
            kube=self.kube,
            metrics=self.metrics,
            health=self.health,
            announcer=self.announcer,
        )
        converged(self.recovery)

    def _stood_still(self, still_s: float) -> None:
        self.stills.append(still_s)
        converged(self.recovery, holds=False)

    def stand_still(self, seconds: float = 5.0) -> None:
        """Be stopped for so long, without a turn of the loop."""
        self.stopwatch.now_s += seconds

    def objects(self, *things: Deployment | Device) -> None:
        """Let the API server have these, and the state know it."""
        self.kube.put(*things)
        for thing in things:
            if isinstance(thing, Deployment):
                self.state.upsert_deployment(thing)
            else:
                self.state.upsert_device(thing)

    def stored(self, pair: Pair, cell: Cell) -> None:
        """Let the broker hold a key, and the state know it."""
        value = None if cell.deleted else cell.value.encode() if cell.value is not None else b"{"
        self.broker.store(DESIRED, desired_key(pair), value, revision=cell.revision)
        self.state.desire(pair, cell)

    def news(self) -> list[Pair]:
        """Show the state what the bucket holds by now; which keys are news."""
        changed = []
        for (bucket, key), (revision, value) in self.broker.stored.items():
            if bucket is DESIRED:
                known = self.state.desired.cells.get(pair := parse_desired_key(key))
                if known is None or known.revision != revision:
                    desired = decode_desired_state(value) if value else None
                    self.state.desire(pair, Cell(revision, desired, deleted=value is None))
                    changed.append(pair)
        return changed

    def count(self, metric: str) -> float:
        """Read one of the counters, by its name and labels as they are served."""
        for line in self.metrics.render(self.recovery).decode().splitlines():
            if line.startswith(f"{metric} "):
                return float(line.rpartition(" ")[2])
        return 0.0
