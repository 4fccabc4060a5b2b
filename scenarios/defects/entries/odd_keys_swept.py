"""A key that names nothing is taken for an orphan, and deleted."""

from fleet.errors import WireError
from fleet.operator.keys import PairKeys
from fleet.wire import DeploymentName, DeviceId, Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = PairKeys.of_desired_key

    def of_any_key(self: PairKeys, key: str) -> Pair:
        try:
            return sound(self, key)
        except WireError:
            device, _, deployment = key.rpartition(".")
            return Pair(DeviceId(device), DeploymentName(deployment))

    PairKeys.of_desired_key = of_any_key  # type: ignore[method-assign] # the point of a defect


ODD_KEYS_SWEPT = Defect(
    name="odd-keys-swept",
    shape="invalid-key",
    case="upper-case-up",
    check="left-alone",
    story="Another tool kept notes of its own in the bucket, under keys with capital letters. They named no device "
    "that anybody knew, so the sweep took them for left-overs, on the first start of the operator.",
    patch=_patch,
)
