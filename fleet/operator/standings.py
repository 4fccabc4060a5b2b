"""How each matched pair stands, and how many of a Deployment's stand how. Pure.

A standing follows from what the pair's device reported, whether it is silent, and what its key holds. It is judged when
one of these changes, and the pair is then moved from one count to another.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet

from fleet.operator.decoding import Report
from fleet.operator.desired_keys import DesiredKeys
from fleet.operator.liveness import Liveness, Verdict
from fleet.operator.pairs import PairTable
from fleet.operator.tally import STANDING_OF_PHASE, Failure, Standing, Tally
from fleet.wire import DeploymentName, DeviceId, Pair

_COUNTED = {Verdict.SILENT: Standing.STALE, Verdict.UNKNOWN: Standing.UNDECIDED}


class Standings:
    """Of the pairs that were linked. `tallies` are for others' eyes only."""

    def __init__(self, reports: PairTable[Report], desired: DesiredKeys, liveness: Liveness) -> None:
        self.tallies: defaultdict[DeploymentName, Tally] = defaultdict(Tally)
        self._reports = reports
        self._desired = desired
        self._liveness = liveness
        self._standings: PairTable[Standing] = PairTable()

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._standings

    def devices_of(self, deployment: DeploymentName) -> AbstractSet[DeviceId]:
        """The devices of a Deployment's matched pairs; until they change next."""
        return self._standings.of(deployment).keys()

    def link(self, deployment: DeploymentName, devices: Collection[DeviceId]) -> None:
        """These pairs, which were not, are matched from now on. A replay passes here once for each of them."""
        standings = dict(zip(devices, self._judged(deployment, devices), strict=True))
        self._standings.update_row(deployment, standings)
        tally = self.tallies[deployment]
        tally.unsettled += len(devices) - len(self._desired.settled.of(deployment).keys() & devices)
        for standing, count in Counter(standings.values()).items():
            tally.counts[standing] += count
        for device, standing in standings.items():
            if standing is Standing.FAILED:
                self._note_failure(Pair(device, deployment), standing)

    def unlink(self, pair: Pair) -> None:
        """A matched pair is none from now on."""
        tally = self.tallies[pair.deployment]
        tally.counts[self._standings.pop(pair)] -= 1
        tally.unsettled -= not self._desired.is_settled(pair)
        tally.set_failure(pair.device, None)

    def drop(self, deployment: DeploymentName) -> None:
        """The Deployment is gone, and none of its pairs is matched."""
        self.tallies.pop(deployment, None)

    def settled(self, pair: Pair, step: int) -> bool:
        """So many more keys are settled, this pair's. Whether it counts."""
        if not step or pair not in self._standings:
            return False
        self.tallies[pair.deployment].unsettled -= step
        return True

    def settled_anew(self, deployment: DeploymentName) -> None:
        """All keys of a Deployment were compared with it."""
        if matched := self.devices_of(deployment):
            self.tallies[deployment].unsettled = len(matched - self._desired.settled.of(deployment).keys())
            for device in matched:
                self.judge(Pair(device, deployment))

    def judge(self, pair: Pair) -> bool:
        """Something that a pair's standing follows from has changed. Whether its Deployment's tally has."""
        old = self._standings.get(pair)
        if old is None:
            return False
        (new,) = self._judged(pair.deployment, (pair.device,))
        if new is not old:
            self._standings[pair] = new
            counts = self.tallies[pair.deployment].counts
            counts[old] -= 1
            counts[new] += 1
        failed = Standing.FAILED in (old, new)
        if failed:
            self._note_failure(pair, new)
        return new is not old or failed

    def _judged(self, deployment: DeploymentName, devices: Iterable[DeviceId]) -> list[Standing]:
        """A report counts while its device is not silent, the key is settled and the report is about that key."""
        reports, owners = self._reports.of(deployment), self._desired.settled.of(deployment)
        alive, standings = self._liveness.alive, []
        for device in devices:
            report, owner = reports.get(device), owners.get(device)
            if report is None:
                standing = Standing.PENDING
            elif device not in alive and (counted := _COUNTED.get(self._liveness.verdict(device))) is not None:
                standing = counted
            elif owner is None or report.uid != owner.uid or report.generation < owner.generation:
                standing = Standing.PENDING
            else:
                standing = STANDING_OF_PHASE[report.phase]
            standings.append(standing)
        return standings

    def _note_failure(self, pair: Pair, standing: Standing) -> None:
        failure = None
        if standing is Standing.FAILED:
            report = self._reports[pair]
            failure = Failure(report.last_event_at, pair.device, report.last_error or "")
        self.tallies[pair.deployment].set_failure(pair.device, failure)
