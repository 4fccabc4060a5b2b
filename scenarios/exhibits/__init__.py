"""The fault library on show: each fault alone, proved active and healed. `fleetproof faults` runs them.

    Exhibit -> an environment with a running fleet -> strike, mend -> "fault-active" judged by the history

With `--toothless` each fault does nothing, and each of them must end inconclusive: a proof that passes then proves
nothing in any other case either.
"""

from scenarios.exhibits.basic import BASIC
from scenarios.exhibits.broker import BROKER
from scenarios.exhibits.devices import DEVICES
from scenarios.exhibits.entries import ENTRIES
from scenarios.exhibits.exhibit import Exhibit, Stage
from scenarios.exhibits.hosts import HOSTS
from scenarios.exhibits.http import HTTP
from scenarios.exhibits.links import LINKS
from scenarios.exhibits.network import NETWORK
from scenarios.exhibits.process import PROCESS
from scenarios.exhibits.world import WORLD

__all__ = ["EXHIBITS", "Exhibit", "Stage"]

EXHIBITS: dict[str, Exhibit] = {
    exhibit.name: exhibit
    for exhibit in (*BASIC, *BROKER, *DEVICES, *ENTRIES, *HOSTS, *HTTP, *LINKS, *NETWORK, *PROCESS, *WORLD)
}
