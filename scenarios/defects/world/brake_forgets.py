"""A held sweep passes as soon as what is left of it is small enough."""

from fleet.operator.sweep import Brake
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = Brake.release

    def forgetful(self: Brake, *args: object, **kwargs: object) -> object:
        self._waited.clear()
        return sound(self, *args, **kwargs)  # type: ignore[arg-type] # passed on as it came

    Brake.release = forgetful  # type: ignore[method-assign, assignment] # the point of a defect


BRAKE_FORGETS = Defect(
    name="brake-forgets",
    shape="crds-reinstalled",
    case="applied-one-by-one",
    check="fleet-kept",
    story="The brake looked at each set by itself. While a hundred manifests were applied again, the last few "
    "Deployments had so few keys left to sweep that it let them go, half a minute before their turn came.",
    patch=_patch,
)
