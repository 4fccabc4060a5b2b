"""What the loops of one operator share."""

from dataclasses import dataclass

from nats.js.client import JetStreamContext

from fleet.kube.client import KubeClient
from fleet.operator.announcer import Announcer
from fleet.operator.http import Health
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.standstill import Standstill
from fleet.operator.state import FleetState


@dataclass(frozen=True, slots=True)
class Parts:
    """The state and its recovery, the two peers, and where a loop says what it did."""

    state: FleetState
    recovery: Recovery
    standstill: Standstill
    js: JetStreamContext
    kube: KubeClient
    metrics: Metrics
    health: Health
    announcer: Announcer
