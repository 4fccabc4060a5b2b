"""Faults of etcd and the API server as processes, and of the world that they show."""

from collections.abc import Awaitable, Callable

from harness.faults.apiserver_killed import ApiserverKilled
from harness.faults.crds_reinstalled import CrdsReinstalled
from harness.faults.etcd_killed import EtcdKilled
from harness.faults.etcd_replaced import EtcdReplaced
from harness.faults.etcd_restored import EtcdBackup, EtcdRestored
from harness.faults.fault import Fault
from harness.faults.other_cluster import OtherCluster, Place
from harness.services.operator import OperatorProcess
from scenarios.exhibits.exhibit import SIZE, Exhibit, Stage
from scenarios.worlds.fleet import edit_image


async def etcd_killed(stage: Stage) -> Fault:
    return EtcdKilled(stage.env.foundation.kube)


async def apiserver_killed(stage: Stage) -> Fault:
    return ApiserverKilled(stage.env.foundation.kube)


async def etcd_restored(stage: Stage) -> Fault:
    kube, admin = stage.env.foundation.kube, stage.env.foundation.admin
    backup = await EtcdBackup.take(kube, admin, stage.env.namespace)
    await edit_image(stage.env, SIZE.deployment_names[0], "registry.example/app:2")
    return EtcdRestored(kube, admin, backup)


async def etcd_replaced(stage: Stage) -> Fault:
    async def furnish() -> None:
        """An empty cluster is another one, too."""

    return EtcdReplaced(stage.env.foundation.kube, stage.env.foundation.admin, furnish)


async def crds_reinstalled(stage: Stage) -> Fault:
    foundation = stage.env.foundation
    # An operator that is there lets objects go, or holds them: here only the fault is on show.
    await stage.operator.process.stop()
    return CrdsReinstalled(foundation.kube, foundation.admin, stage.env.namespace)


async def other_cluster(stage: Stage) -> Fault:
    other = await stage.env.another_cluster()
    namespace = await stage.env.another_namespace(other)
    return _stranger(stage, Place(other.admin, namespace), lambda: stage.env.start_stranger(other, namespace))


async def other_namespace(stage: Stage) -> Fault:
    foundation = stage.env.foundation
    namespace = await stage.env.another_namespace(foundation)
    return _stranger(stage, Place(foundation.admin, namespace), lambda: stage.env.start_stranger(foundation, namespace))


def _stranger(stage: Stage, wrong: Place, start: Callable[[], Awaitable[OperatorProcess]]) -> Fault:
    return OtherCluster(Place(stage.env.foundation.admin, stage.env.namespace), wrong, start)


WORLD = (
    Exhibit("etcd-killed", "etcd dies at once and is started again", etcd_killed, own_cluster=True),
    Exhibit("apiserver-killed", "the API server dies at once and is started again", apiserver_killed, own_cluster=True),
    Exhibit("etcd-restored", "etcd goes back to an old backup", etcd_restored, own_cluster=True),
    Exhibit("etcd-replaced", "another cluster answers behind the same address", etcd_replaced, own_cluster=True),
    Exhibit(
        "crds-reinstalled", "the definitions go with all objects, and come back", crds_reinstalled, own_cluster=True
    ),
    Exhibit("other-cluster", "an operator gets another cluster's kubeconfig", other_cluster),
    Exhibit("other-cluster-namespace", "an operator is started for another namespace", other_namespace),
)
