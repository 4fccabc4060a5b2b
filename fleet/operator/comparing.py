"""Whether a value in desired-state is what a Deployment asks for. Many keys share one value: it is compared once."""

from collections import defaultdict

from fleet.kube.objects import Deployment
from fleet.wire import DeploymentName, DesiredState

_VALUES_REMEMBERED_MAX = 1024


class Comparisons:
    """Comparisons that were made, by Deployment. They hold until its score is another: then it is to be forgotten."""

    def __init__(self) -> None:
        # By the value's id; the value is kept beside its verdict, so that no other can get that id.
        self._same_score: defaultdict[DeploymentName, dict[int, tuple[DesiredState, bool]]] = defaultdict(dict)

    def is_wanted(self, deployment: Deployment, value: DesiredState) -> bool:
        if value.owner.uid != deployment.uid:
            return False
        remembered = self._same_score[deployment.name]
        known = remembered.get(id(value))
        if known is None:
            if len(remembered) >= _VALUES_REMEMBERED_MAX:
                remembered.clear()
            known = remembered[id(value)] = (value, value.score == deployment.score)
        return known[1]

    def forget(self, name: DeploymentName) -> None:
        self._same_score.pop(name, None)
