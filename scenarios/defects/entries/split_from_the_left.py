"""A key is split at its first dot: whatever follows is taken for the Deployment's name."""

from collections.abc import Sequence

from fleet import wire
from fleet.operator.keys import PairKeys
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def of_desired_key(_: PairKeys, key: str) -> Pair:
        device, _dot, deployment = key.partition(".")
        return Pair(wire.device_id(device), wire.deployment_name(deployment))

    def of_state_key(self: PairKeys, key: str) -> Pair:
        return self.of_desired_key(key.removeprefix("state."))

    def of_desired_keys(self: PairKeys, keys: Sequence[str]) -> list[Pair]:
        return [self.of_desired_key(key) for key in keys]

    def of_state_keys(self: PairKeys, keys: Sequence[str]) -> list[Pair]:
        return [self.of_state_key(key) for key in keys]

    PairKeys.of_desired_keys = of_desired_keys  # type: ignore[method-assign] # the point of a defect
    PairKeys.of_state_keys = of_state_keys  # type: ignore[method-assign] # the point of a defect
    PairKeys.of_desired_key = of_desired_key  # type: ignore[method-assign, assignment] # the point of a defect
    PairKeys.of_state_key = of_state_key  # type: ignore[method-assign] # the point of a defect


SPLIT_FROM_THE_LEFT = Defect(
    name="split-from-the-left",
    shape="invalid-key",
    case="dots-before-the-last-up",
    check="orphans-swept",
    story="All devices of the first site had names without dots. The keys of the second site's, which were host names, "
    "could not be parsed, so what their devices were to run stayed when the devices were long gone.",
    patch=_patch,
)
