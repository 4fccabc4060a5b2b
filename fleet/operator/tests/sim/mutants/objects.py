"""Ways to break the rules of objects (O) and of recovery (R)."""

import pytest

from fleet.operator import decide, lifecycle
from fleet.operator.decide import Delete, Fresh, Put
from fleet.operator.lifecycle import Forget, Register, SetFinalizers
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.tests.sim import desired, objects, sweeper
from fleet.operator.tests.sim.mutants.mutant import found_by
from fleet.wire import DeploymentName, DeviceId, Pair


@found_by("O1", 0)
def no_finalizers(patch: pytest.MonkeyPatch) -> None:
    """No Deployment gets the finalizer."""
    sound = lifecycle.decide_deployment

    def decide_deployment(known: FleetState, name: DeploymentName) -> SetFinalizers | None:
        step = sound(known, name)
        return step if step is not None and lifecycle.FINALIZER not in step.finalizers else None

    patch.setattr(objects, "decide_deployment", decide_deployment)


@found_by("O1", 42)
def holds_for_ever(patch: pytest.MonkeyPatch) -> None:
    """O2: the last key of a Deployment that is being deleted is gone, and nobody looks."""
    sound = FleetState._judge

    def judge(self: FleetState, pair: Pair) -> None:
        known = pair.deployment in self.dirty_deployments
        sound(self, pair)
        if not known:
            self.dirty_deployments.discard(pair.deployment)

    patch.setattr(FleetState, "_judge", judge)


@found_by("O2", 3)
def lets_go_early(patch: pytest.MonkeyPatch) -> None:
    """A Deployment that is being deleted loses the finalizer while it has keys."""
    sound = lifecycle.decide_deployment

    def decide_deployment(known: FleetState, name: DeploymentName) -> SetFinalizers | None:
        known.unwanted.of_deployment[name] = 0
        return sound(known, name)

    patch.setattr(objects, "decide_deployment", decide_deployment)


@found_by("O2", 15)
def device_goes_early(patch: pytest.MonkeyPatch) -> None:
    """O3: a Device that is being deleted is let go while it has keys."""
    sound = lifecycle.decide_device

    def decide_device(known: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
        known.unwanted.of_device[name] = 0
        return sound(known, name)

    patch.setattr(objects, "decide_device", decide_device)


@found_by("O3", 1)
def forgets_nothing(patch: pytest.MonkeyPatch) -> None:
    """A Device goes, and what it published stays."""
    sound = lifecycle.decide_device

    def decide_device(known: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
        step = sound(known, name)
        if not isinstance(step, Forget):
            return step
        others = tuple(f for f in known.devices[name].finalizers if f != lifecycle.FINALIZER)
        return SetFinalizers("devices", name, known.devices[name].resource_version, others)

    patch.setattr(objects, "decide_device", decide_device)


@found_by("O3", 3)
def forgets_no_reports(patch: pytest.MonkeyPatch) -> None:
    """A Device is let go once its introduction is gone, whatever it still reports."""
    patch.setattr(FleetState, "reported", lambda _self, _device: [])


@found_by("O4", 0)
def registers_nobody(patch: pytest.MonkeyPatch) -> None:
    """A device introduces itself, and nobody makes its Device."""
    sound = lifecycle.decide_device

    def decide_device(known: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
        step = sound(known, name)
        return None if isinstance(step, Register) else step

    patch.setattr(objects, "decide_device", decide_device)


@found_by("O4", 33)
def vanished_devices_stay_away(patch: pytest.MonkeyPatch) -> None:
    """O5: a Device that vanished is not made again."""
    sound = FleetState.remove_device

    def remove_device(self: FleetState, name: DeviceId) -> None:
        sound(self, name)
        self.dirty_devices.discard(name)

    patch.setattr(FleetState, "remove_device", remove_device)


@found_by("O6", 42)
def finalizers_of_others(patch: pytest.MonkeyPatch) -> None:
    """Finalizers of others go with ours."""
    sound = lifecycle.decide_device

    def decide_device(known: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
        step = sound(known, name)
        if not isinstance(step, SetFinalizers):
            return step
        ours = tuple(f for f in step.finalizers if f == lifecycle.FINALIZER)
        return SetFinalizers(step.resource, step.name, step.resource_version, ours)

    patch.setattr(objects, "decide_device", decide_device)


@found_by("R3", 1)
def converged_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Converged once is converged for ever."""
    sound = Recovery._settle

    def settle(self: Recovery) -> None:
        was = self._converged
        sound(self)
        self._converged |= was

    patch.setattr(Recovery, "_settle", settle)


@found_by("R10", 152)
def hidden_is_gone(patch: pytest.MonkeyPatch) -> None:
    """What cannot be read is not there, neither in a list nor afresh."""
    sound_orphan, sound_confirm = decide.is_orphan, decide.confirm

    def is_orphan(known: FleetState, pair: Pair) -> bool:
        known.unreadable_deployments.clear()
        known.unreadable_devices.clear()
        return sound_orphan(known, pair)

    def confirm(known: FleetState, decision: Put | Delete, fresh: Fresh) -> Put | Delete | None:
        return sound_confirm(known, decision, Fresh(fresh.deployments, fresh.devices))

    for module in (decide, sweeper):
        patch.setattr(module, "is_orphan", is_orphan)
    patch.setattr(desired, "confirm", confirm)
