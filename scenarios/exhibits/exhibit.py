"""What an exhibit is: one fault of the library, alone, in a small world where everything runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.fault import Fault
from harness.services.operator import OperatorProcess
from scenarios.worlds.fleet import Size

SIZE = Size(devices=4, deployments=2)


@dataclass(frozen=True, slots=True)
class Stage:
    """The world around it: an operator that has converged, and `SIZE` devices and deployments, all running."""

    env: Environment
    operator: OperatorProcess
    devices: ScriptedDevices


@dataclass(frozen=True, slots=True)
class Exhibit:
    """`name` is the fault's, or the fault's with what distinguishes this one. `does` says in a few words what it does.

    `needs` are capabilities (`fleetproof doctor`); `own_cluster` asks for an API server that nobody else uses.
    """

    name: str
    does: str
    build: Callable[[Stage], Awaitable[Fault]]
    needs: tuple[str, ...] = ()
    own_cluster: bool = False
