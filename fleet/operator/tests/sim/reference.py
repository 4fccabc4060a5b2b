"""What the world must look like once nothing changes any more: the contract in its simplest form, without a history."""

from fleet.canonical import format_time
from fleet.kube.objects import Deployment, Device
from fleet.operator.decoding import Report
from fleet.operator.lifecycle import FINALIZER
from fleet.operator.tests.sim.agents import moment
from fleet.operator.tests.sim.broker import BucketModel
from fleet.operator.tests.sim.judge import decode, wanted
from fleet.operator.tests.sim.kube import KubeModel
from fleet.operator.tests.sim.story import RuleError
from fleet.wire import Bucket, DesiredState, Pair, Phase, desired_key, heartbeat_key, state_key

_COUNT = {Phase.RUNNING: "succeeded", Phase.FAILED: "failed", Phase.PENDING: "pending"}


def compare(kube: KubeModel, buckets: dict[Bucket, BucketModel], now_s: float, stale_after_s: float) -> None:
    """Raise RuleError at the first difference."""
    pairs = {
        Pair(device.name, deployment.name)
        for deployment in kube.deployments.values()
        for device in kube.devices.values()
        if wanted(deployment, device)
    }
    _compare_keys(kube, buckets[Bucket.DESIRED_STATE], pairs)
    _compare_objects(kube, buckets)
    for key, message in buckets[Bucket.DEVICE_STATE].messages.items():
        about = key.removeprefix("state.")
        if message.value is not None and about not in buckets[Bucket.DESIRED_STATE].messages:
            raise RuleError(f"K7: {about} is reported, and no key says what is to become of it")
    for deployment in kube.deployments.values():
        if not deployment.deleting:
            mine = [pair for pair in sorted(pairs) if pair.deployment == deployment.name]
            _compare_status(deployment, mine, buckets, now_s - stale_after_s)


def _compare_keys(kube: KubeModel, desired: BucketModel, pairs: set[Pair]) -> None:
    live = {key: message for key, message in desired.messages.items() if message.value is not None}
    wanted_keys = {desired_key(pair): pair for pair in pairs}
    for key in sorted(wanted_keys.keys() - live.keys()):
        raise RuleError(f"K1: {key} is wanted and not there")
    for key in sorted(live.keys() - wanted_keys.keys()):
        if not key.startswith("..."):
            raise RuleError(f"K5: {key} is live and nobody wants it")
    for key, pair in wanted_keys.items():
        value, deployment = decode(live[key].value), kube.deployments[pair.deployment]
        if value is None or (value.owner.uid, value.score) != (deployment.uid, deployment.score):
            raise RuleError(f"K1: {key} holds {value}, not what {deployment.uid} asks for")


def _compare_objects(kube: KubeModel, buckets: dict[Bucket, BucketModel]) -> None:
    items: list[Deployment | Device] = [*kube.deployments.values(), *kube.devices.values()]
    for item in items:
        if item.deleting == (FINALIZER in item.finalizers):
            raise RuleError(f"O1: {item.name} has {item.finalizers}, deleting={item.deleting}")
    for key, message in buckets[Bucket.DEVICE_INFO].messages.items():
        name = key.removeprefix("info.")
        if message.value is not None and name not in kube.devices:
            raise RuleError(f"O4: {name} has introduced itself and has no Device")


def _compare_status(
    deployment: Deployment, pairs: list[Pair], buckets: dict[Bucket, BucketModel], silent_before_s: float
) -> None:
    counts = dict.fromkeys(("succeeded", "failed", "pending", "stale"), 0)
    failures = []
    for pair in pairs:
        report = buckets[Bucket.DEVICE_STATE].messages.get(state_key(pair))
        value = decode(buckets[Bucket.DESIRED_STATE].live(desired_key(pair)))
        assert value is not None
        beat = buckets[Bucket.DEVICE_HEARTBEAT].messages.get(heartbeat_key(pair.device))
        beat_at_s = buckets[Bucket.DEVICE_HEARTBEAT].created_s
        if beat is not None and beat.value is not None:
            beat_at_s = beat.at_s
        if report is None or not isinstance(report.value, Report):
            counts["pending"] += 1
        elif beat_at_s < silent_before_s:
            counts["stale"] += 1
        else:
            count = _count(report.value, value)
            counts[count] += 1
            if count == "failed":
                at = min(report.value.last_event_at, moment(report.at_s))
                failures.append((at, pair.device, report.value.last_error))
    aggregate: dict[str, object] = {"matched": len(pairs), **counts}
    if failures:
        at, device, message = max(failures)
        aggregate["lastError"] = {"device": device, "message": message, "at": format_time(at)}
    if deployment.status.get("aggregate") != aggregate:
        raise RuleError(f"S1: status of {deployment.name} says {deployment.status.get('aggregate')}, it is {aggregate}")
    if deployment.status.get("observedGeneration") != deployment.generation:
        raise RuleError(f"S8: status of {deployment.name} is not of generation {deployment.generation}")
    reason = next((reason for count, reason in _REASONS if counts[count]), "AllSucceeded") if pairs else "NoDevices"
    _compare_condition(deployment, "Ready", "True" if reason == "AllSucceeded" else "False", reason)
    _compare_condition(deployment, "Synced", "True", "AllWritten")


_REASONS = (("failed", "DevicesFailed"), ("pending", "Progressing"), ("stale", "DevicesStale"))


def _count(report: Report, value: DesiredState) -> str:
    if report.uid != value.owner.uid or report.generation < value.owner.generation:
        return "pending"
    return _COUNT[report.phase]


def _compare_condition(deployment: Deployment, type_: str, status: str, reason: str) -> None:
    conditions = deployment.status.get("conditions")
    assert isinstance(conditions, list)
    found = [(c["status"], c["reason"]) for c in conditions if c["type"] == type_]
    if found != [(status, reason)]:
        raise RuleError(f"S9: {type_} of {deployment.name} is {found}, not {status} ({reason})")
