"""Ways to break the rules of keys (K) and of the brake (B)."""

from collections.abc import Sequence

import pytest

from fleet.kube.objects import Deployment
from fleet.operator import decide, matching, sweep
from fleet.operator.comparing import Comparisons
from fleet.operator.decide import Delete, Fresh, Put
from fleet.operator.desired_keys import Cell
from fleet.operator.echo import Echoes
from fleet.operator.matching import Matcher
from fleet.operator.state import FleetState
from fleet.operator.sweep import Brake
from fleet.operator.tests.sim import desired, sweeper
from fleet.operator.tests.sim.mutants.mutant import found_by
from fleet.wire import DeploymentName, DesiredState, DeviceId, Pair


@found_by("K1", 6)
def generation_alone(patch: pytest.MonkeyPatch) -> None:
    """A generation that changed alone is a reason to write."""
    sound = Comparisons.is_wanted

    def is_wanted(self: Comparisons, deployment: Deployment, value: DesiredState) -> bool:
        return sound(self, deployment, value) and value.owner.generation == deployment.generation

    patch.setattr(Comparisons, "is_wanted", is_wanted)


@found_by("K1", 249)
def uid_of_another(patch: pytest.MonkeyPatch) -> None:
    """A key with the right score is left alone, whoever owns it."""

    def is_wanted(_self: Comparisons, deployment: Deployment, value: DesiredState) -> bool:
        return value.score == deployment.score

    patch.setattr(Comparisons, "is_wanted", is_wanted)


@found_by("K5", 5)
def deaf_to_echoes(patch: pytest.MonkeyPatch) -> None:
    """A write's echo is not heard, so its key is never decided again."""
    patch.setattr(Echoes, "heard", lambda _self, _key: False)


@found_by("K3", 299)
def no_second_look(patch: pytest.MonkeyPatch) -> None:
    """A delete needs nobody's confirmation."""

    def confirm(_state: FleetState, decision: Put | Delete, _fresh: Fresh) -> Put | Delete:
        return decision

    patch.setattr(desired, "confirm", confirm)


@found_by("K3", 54)
def overwrites_unasked(patch: pytest.MonkeyPatch) -> None:
    """A put over somebody else's value is as good as any."""
    sound = decide._put

    def put(deployment: Deployment, pair: Pair, cell: Cell | None, *, vanished: bool) -> Put:
        made = sound(deployment, pair, cell, vanished=vanished)
        return Put(made.pair, made.value, made.expected, check_afresh=False)

    patch.setattr(decide, "_put", put)


@found_by("K3", 85)
def over_a_marker(patch: pytest.MonkeyPatch) -> None:
    """A put over a delete marker is as good as any."""
    sound = decide._put

    def put(deployment: Deployment, pair: Pair, cell: Cell | None, *, vanished: bool) -> Put:
        made = sound(deployment, pair, cell, vanished=vanished)
        check = made.check_afresh and not (cell is not None and cell.deleted)
        return Put(made.pair, made.value, made.expected, check_afresh=check)

    patch.setattr(decide, "_put", put)


@found_by("K3", 569)
def over_a_higher_generation(patch: pytest.MonkeyPatch) -> None:
    """A put over a value of the same owner is as good as any, whatever generation that has."""
    sound = decide._put

    def put(deployment: Deployment, pair: Pair, cell: Cell | None, *, vanished: bool) -> Put:
        made = sound(deployment, pair, cell, vanished=vanished)
        owner = cell.value.owner if cell is not None and cell.value is not None else None
        check = made.check_afresh and (owner is None or owner.uid != deployment.uid)
        return Put(made.pair, made.value, made.expected, check_afresh=check)

    patch.setattr(decide, "_put", put)


@found_by("K3", 299)
def forgets_what_vanished(patch: pytest.MonkeyPatch) -> None:
    """A key that vanished is put again like one that never was."""
    sound = FleetState.desire

    def desire(self: FleetState, pair: Pair, cell: Cell | None) -> None:
        sound(self, pair, cell)
        self.desired.vanished.clear()

    patch.setattr(FleetState, "desire", desire)


@found_by("K5", 4)
def blocked_runs_on(patch: pytest.MonkeyPatch) -> None:
    """K4: a blocked device keeps what it has."""
    patch.setattr(matching, "eligible", lambda device: not device.deleting)


@found_by("K4", 1)
def told_waits(patch: pytest.MonkeyPatch) -> None:
    """What an object says is to go waits for approval like any orphan."""
    for module in (decide, sweeper):
        patch.setattr(module, "is_told", lambda _state, _pair: False)


@found_by("K5", 1)
def past_the_brake(patch: pytest.MonkeyPatch) -> None:
    """Whatever nobody wants is deleted at once."""
    sound = decide.decide_pair

    def decide_pair(known: FleetState, pair: Pair) -> Put | Delete | None:
        return sound(known, pair) or decide.decide_swept(known, pair)

    patch.setattr(desired, "decide_pair", decide_pair)


@found_by("K5", 1)
def never_sweeps(patch: pytest.MonkeyPatch) -> None:
    """Orphans stay."""
    patch.setattr(desired, "decide_swept", lambda _state, _pair: None)


@found_by("K5", 8)
def any_label_will_do(patch: pytest.MonkeyPatch) -> None:
    """A Deployment selects a device that has one of its labels."""

    def devices_of(self: Matcher, name: DeploymentName) -> set[DeviceId]:
        selector = self._selectors.get(name, {})
        return {device for label in selector.items() for device in self._devices_by_label.get(label, ())}

    patch.setattr(Matcher, "devices_of", devices_of)


@found_by("K7", 243)
def leaves_the_unmarked(patch: pytest.MonkeyPatch) -> None:
    """A report whose key left no trace gets no delete marker."""
    sound = decide.decide_swept

    def decide_swept(known: FleetState, pair: Pair) -> Delete | None:
        return sound(known, pair) if pair in known.desired.cells else None

    patch.setattr(desired, "decide_swept", decide_swept)


@found_by("B1", 6)
def brake_is_generous(patch: pytest.MonkeyPatch) -> None:
    """All keys may go without approval, not 5 % of them."""
    patch.setattr(sweep, "SHARE_FREE", 1.0)


@found_by("B1", 6)
def brake_forgets(patch: pytest.MonkeyPatch) -> None:
    """What was swept within the last minute does not count."""
    patch.setattr(sweep, "WINDOW_S", 0.0)


@found_by("B1", 6)
def brake_squeaks_only(patch: pytest.MonkeyPatch) -> None:
    """B4: a sweep waits for approval, and its keys are deleted meanwhile."""
    sound = Brake.release

    def release(
        self: Brake,
        orphans: Sequence[Pair],
        *,
        live_keys: int,
        empty: Sequence[str],
        approved: str | None,
        now_s: float,
    ) -> list[Pair]:
        sound(self, orphans, live_keys=live_keys, empty=empty, approved=approved, now_s=now_s)
        return list(orphans)

    patch.setattr(Brake, "release", release)


@found_by("B2", 5)
def empty_lists_are_believed(patch: pytest.MonkeyPatch) -> None:
    """A list without any object is one like any other."""
    sound = Brake._wrong_world

    def wrong_world(self: Brake, count: int, live_keys: int, _empty: Sequence[str], going: Sequence[str]) -> str | None:
        return sound(self, count, live_keys, (), going)

    patch.setattr(Brake, "_wrong_world", wrong_world)


@found_by("B3", 22)
def id_of_a_number(patch: pytest.MonkeyPatch) -> None:
    """The id of a sweep says how many keys, not which."""
    patch.setattr(Brake, "_id", lambda _self, pairs: str(len(pairs)))


@found_by("B1", 136)
def yes_for_ever(patch: pytest.MonkeyPatch) -> None:
    """B3: who said yes once has said yes to whatever comes to it later."""
    sound = Brake.release
    yes: set[Brake] = set()

    def release(
        self: Brake,
        orphans: Sequence[Pair],
        *,
        live_keys: int,
        empty: Sequence[str],
        approved: str | None,
        now_s: float,
    ) -> list[Pair]:
        released = sound(self, orphans, live_keys=live_keys, empty=empty, approved=approved, now_s=now_s)
        if approved is not None:
            yes.add(self)
        return list(orphans) if self in yes else released

    patch.setattr(Brake, "release", release)


@found_by("B5", 1)
def sweeps_the_introduced(patch: pytest.MonkeyPatch) -> None:
    """Keys of a device that is yet to be registered are orphans."""

    def is_orphan(known: FleetState, pair: Pair) -> bool:
        hidden = pair.deployment in known.unreadable_deployments or pair.device in known.unreadable_devices
        return not hidden and not decide.is_told(known, pair)

    for module in (decide, sweeper):
        patch.setattr(module, "is_orphan", is_orphan)
