"""Ways to break rules that the core alone cannot break: each in the step of the shell that keeps it."""

import pytest

from fleet.operator.tests.sim import desired, objects
from fleet.operator.tests.sim import status as ticker
from fleet.operator.tests.sim.mutants.mutant import found_by
from fleet.operator.tests.sim.tasks import Steps, turn
from fleet.wire import DeviceId


@found_by("K2", 0)
def unfenced_write(patch: pytest.MonkeyPatch) -> None:
    """A write names no revision."""
    patch.setattr(desired.DesiredWriter, "fence", lambda _self, _decision: None)


@found_by("O3", 539)
def forgets_the_new_one(patch: pytest.MonkeyPatch) -> None:
    """Another Device in the place of the deleted one is forgotten with it."""

    def is_going(_self: objects.ObjectWriter, _name: DeviceId) -> Steps[bool]:
        yield turn
        return True

    patch.setattr(objects.ObjectWriter, "is_going", is_going)


@found_by("O4", 143)
def labels_of_old(patch: pytest.MonkeyPatch) -> None:
    """A device is registered with the labels known when that was decided."""
    patch.setattr(objects.ObjectWriter, "labels", lambda _self, step, _read: dict(step.labels))


@found_by("K5", 277)
def registers_once(patch: pytest.MonkeyPatch) -> None:
    """O4: a Device that goes before the informer saw it is not made again."""
    patch.setattr(objects.ObjectWriter, "was_seen", lambda _self, _name: True)


@found_by("O6", 0)
def unfenced_finalizers(patch: pytest.MonkeyPatch) -> None:
    """Finalizers are patched at no version."""
    patch.setattr(objects.ObjectWriter, "version", lambda _self, _step: None)


@found_by("S13", 85)
def status_of_an_older_world(patch: pytest.MonkeyPatch) -> None:
    """After somebody else's patch nobody waits to know as much."""

    def caught_up(_self: ticker.StatusTicker) -> Steps[None]:
        yield turn

    patch.setattr(ticker.StatusTicker, "caught_up", caught_up)


@found_by("R8", 289)
def heedless_of_standstill(patch: pytest.MonkeyPatch) -> None:
    """What was decided before a standstill is written after it."""
    patch.setattr(desired.DesiredWriter, "may_write", lambda self, _epoch: self._process.recovery.converged)
