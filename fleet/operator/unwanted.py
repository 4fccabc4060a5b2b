"""The pairs that no Deployment wants and that a device may still run, counted by Deployment and by device. Pure."""

from collections import Counter

from fleet.wire import DeploymentName, DeviceId, Pair


class Unwanted:
    """All of it is for others' eyes only, but by `put`."""

    def __init__(self) -> None:
        self.pairs: set[Pair] = set()
        self.of_deployment: Counter[DeploymentName] = Counter()
        self.of_device: Counter[DeviceId] = Counter()

    def put(self, pair: Pair, *, unwanted: bool) -> bool:
        """Whether this is news."""
        if unwanted == (pair in self.pairs):
            return False
        if unwanted:
            self.pairs.add(pair)
        else:
            self.pairs.remove(pair)
        step = 1 if unwanted else -1
        self.of_deployment[pair.deployment] += step
        self.of_device[pair.device] += step
        return True
