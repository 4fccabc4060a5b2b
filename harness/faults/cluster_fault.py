"""What faults of a whole Kubernetes API have in common: they strike one that nobody else uses."""

from harness.faults.fault import Fault
from harness.services.kube import KubeCluster

NOT_OURS = "a Kubernetes API of the test's own; others use this one (mark the test with own_cluster)"


class ClusterFault(Fault):
    """A fault of a cluster. On the one that tests share it is not available, so it is never applied there."""

    def __init__(self, cluster: KubeCluster) -> None:
        self.target = cluster.name
        self._cluster = cluster

    def available(self) -> str | None:
        return NOT_OURS if self._cluster.shared else None
