"""Ways to break the core, each in a copy of `reconcile`, and the rule by which the simulated device finds it."""

from pathlib import Path
from types import ModuleType
from typing import NamedTuple, cast

from fleet.agent import reconcile
from fleet.agent.tests.sim.world import NextStep


class Mutant(NamedTuple):
    """`old` stands in the source once, and is replaced by `new`."""

    name: str
    rule: str
    old: str
    new: str

    def decide(self) -> NextStep:
        source = Path(reconcile.__file__).read_text(encoding="utf-8")
        assert source.count(self.old) == 1, f"{self.name}: no such place in reconcile any more"
        module = ModuleType(f"reconcile_{self.name}")
        exec(compile(source.replace(self.old, self.new), module.__name__, "exec"), module.__dict__)  # noqa: S102 - ours
        return cast("NextStep", module.next_step)


_RUNS = "    if right.state is ContainerState.RUNNING:\n"
_MAKE = "        return _make(scene, spec)\n"

MUTANTS = [
    Mutant("starts beside the old one", "one-runs", "    if active:\n", "    if active and False:\n"),
    Mutant(
        "a paused old one counts as stopped", "one-runs", "if c.active]\n", "if c.state is ContainerState.RUNNING]\n"
    ),
    Mutant("the redeploy loop", "healthy-untouched", _RUNS, f"{_RUNS}        return Stop(right)\n"),
    Mutant(
        "starts what runs", "healthy-untouched", _RUNS, f"{_RUNS}        return _clear(scene, others) or Start(right)\n"
    ),
    Mutant("stops before it creates", "last-good", _MAKE, f"        return _clear(scene, others) or {_MAKE[15:]}"),
    Mutant(
        "stops for a port that is taken", "last-good", "Stop(of) if to_replace is None else", "Stop(of) if True else"
    ),
    Mutant(
        "stops for a port that nobody frees",
        "last-good",
        "if not may_let_go(spec, scene.wanted, scene.containers):",
        "if False:",
    ),
    Mutant(
        "falls back to the old one",
        "roll-forward",
        "    return (_tidy(scene, others) or pause) if pause else Start(right)",
        "    return (Start(others[0]) if others else pause) if pause else Start(right)",
    ),
    Mutant(
        "falls back to any old one",
        "roll-forward",
        "old = last_good(spec, scene.own)",
        "old = scene.own[0] if scene.own else None",
    ),
    Mutant("lets the last good lie", "kept-up", "if old is None or old.active or", "if True or"),
    Mutant(
        "takes the last good for one that is not to come back",
        "kept-up",
        "old = last_good(spec, scene.own)",
        "old = next((c for c in scene.own if c.state is ContainerState.EXITED and c.exit_code == 0), None)",
    ),
    Mutant("makes it once more", "needless", "    if right is None:\n", "    if right is None or not right.active:\n"),
    Mutant(
        "tries without a pause",
        "busy",
        "if tries.paused(scene.now_s):\n        return _keep_up",
        "if False:\n        return _keep_up",
    ),
    Mutant(
        "keeps up without a pause",
        "busy",
        "Wait(min(until_s, tries.not_before_s)) if tries.paused(scene.now_s) else Start(old)",
        "Start(old)",
    ),
    Mutant(
        "starts without a pause",
        "busy",
        "pause = Wait(tries.not_before_s) if tries.paused(scene.now_s) else None",
        "pause = None",
    ),
    Mutant(
        "leaves the old one", "reference", f"{_RUNS}        return _clear(scene, others) or ", f"{_RUNS}        return "
    ),
    Mutant(
        "keeps a dropped service",
        "reference",
        "    if spec is None:\n        return _clear(scene, others) or ",
        "    if spec is None:\n        return ",
    ),
    Mutant(
        "waits in a ring",
        "reference",
        "if not may_let_go(spec, scene.wanted, scene.containers):",
        "if holders(spec, scene.wanted, scene.containers):",
    ),
    Mutant(
        "waits for a stuck one for ever",
        "reference",
        "(patience := _until_stuck(scene)) != _FOR_NEWS:",
        "(patience := _until_stuck(scene)) is not None:",
    ),
]
