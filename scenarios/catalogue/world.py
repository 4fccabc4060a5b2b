"""The world is not the one that the operator knows: the cases W."""

from scenarios.catalogue.shape import Shape

WORLD: tuple[Shape, ...] = (
    Shape(
        number="W1",
        id="crds-reinstalled",
        title="CRDs deleted and applied again",
        trigger="The custom resource definitions are deleted, and every Deployment and Device with them, while the "
        "operator runs, rebuilds or is down; they are applied again, and later the objects, at once or one by one.",
        expected="No device loses what it runs: no key gets a delete marker or another score. The brake holds the "
        "sweep and says why; once the objects are back every key and status is right.",
        oracle="Every stored revision by a witness, the brake's words at /recovery, key and status against the "
        "reference model.",
        risk="high",
        diagram="""\
admin      delete CRDs ----------> apply CRDs ------> apply objects
                |                       |                   |
API server  all objects go         lists are empty     new uids, same specs
                |                       |                   |
operator    [nobody asked for this: the brake holds]  owners written anew
                                        |
devices     run ------------------------------------------------- run""",
    ),
    Shape(
        number="W2",
        id="etcd-restored",
        title="etcd restored from an old backup",
        trigger="A backup of etcd is put back, from before some Deployments or Devices were made, from before an edit "
        "or a delete, or from before all of it; the operator runs or is down.",
        expected="Keys of Deployments that the backup lacks are held, devices that it lacks are registered again. An "
        "older generation is written once and not fought over. With the objects as before, all is right again.",
        oracle="Every stored revision by a witness that compares lists across the restore, the brake's words, key and "
        "status against the reference model.",
        risk="high",
        diagram="""\
etcd      --backup--+                      restored
                    |                          |
admin               +-- create, edit, delete   |         apply again
                               |               |              |
operator                  writes keys     the old world,  brings keys to
                                          or the brake    what they say
                                               |              |
devices   run -------------------- no marker for what the backup lacks""",
    ),
    Shape(
        number="W3",
        id="other-cluster",
        title="Another cluster's kubeconfig",
        trigger="An operator is started on these buckets for another cluster, empty or with the same names, or for "
        "another namespace; beside the right one, with a bucket missing, or because the cluster itself was replaced.",
        expected="It writes nothing, neither keys nor objects nor buckets, and says whose the buckets are. The right "
        "operator finds its world unchanged.",
        oracle="Counters of the broker, audit logs of both API servers, the operator's last words and /recovery.",
        risk="high",
        diagram="""\
buckets    identity: cluster A, namespace a
                ^                         ^
operator A  serves a of A --- stop        |             start, 0 writes
                                          |
operator B                     start: "they belong to A", exit, 0 writes
                                |
cluster B        same names, other images""",
    ),
)
