"""The sources of one operator that holds the Deployments of its first replay."""

from fleet.operator.books import DEPLOYMENTS
from fleet.operator.deployments_last import DeploymentsLast
from fleet.operator.tests.feeding import Fed
from fleet.operator.tests.samples import deployment


class Held(Fed):
    """The sources of one operator; its first Deployments go through `last`, whose loop is run by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.last = DeploymentsLast(self.deployments, self.books, self.state)
        self.others = [source for source in self.gating if source is not self.deployments]

    @property
    def source(self) -> tuple[int, int | None, bool, str | None]:
        """What /recovery says of the Deployments."""
        known = self.recovery.sources[DEPLOYMENTS]
        return known.seen, known.expected, known.current, known.trouble

    def list(self, *names: str) -> None:
        """A list in full, up to its end."""
        self.last.replay_started()
        self.last.expecting(len(names))
        for name in names:
            self.last.upsert(deployment(name))
        self.last.replayed()

    def replay_others(self) -> None:
        for source in self.others:
            source.replayed()
