"""The simulated world bites: each mutant of the product is found, by the rule that it breaks.

That the sound product passes the same seeds is `test_seeds`'s.
"""

import pytest

from fleet.operator.tests.sim import world
from fleet.operator.tests.sim.mutants import keys, objects, shell, silence, status
from fleet.operator.tests.sim.mutants.mutant import Mutant
from fleet.operator.tests.sim.story import RuleError

# The first seed shows it in the world as it is now; the others are for a world that was changed a little.
_SEEDS_MAX = 40
_PARTS = (keys, objects, silence, status, shell)
_MUTANTS = [item for part in _PARTS for item in vars(part).values() if isinstance(item, Mutant)]


def _verdict(seed: int) -> str:
    try:
        world.run(seed)
    except RuleError as e:
        return str(e).splitlines()[-2]
    return f"seed {seed}: all well"


@pytest.mark.parametrize("mutant", _MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken product breaks its rule in some world before long."""
    mutant.change(monkeypatch)
    verdicts = []
    for seed in range(mutant.seed, mutant.seed + _SEEDS_MAX):
        verdicts.append(_verdict(seed))
        if verdicts[-1].startswith(f"seed {seed}: {mutant.rule}: "):
            return
    pytest.fail("\n".join([f"{mutant.rule} is not seen broken:", *verdicts]))


def test_violation_tells_its_story_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened, a line each with its time; then the rule; then the command that runs this seed alone."""
    keys.past_the_brake.change(monkeypatch)
    seed = keys.past_the_brake.seed
    with pytest.raises(RuleError) as caught:
        world.run(seed)
    *story, verdict, rerun = str(caught.value).splitlines()
    assert any(" -- start operator-" in line for line in story)
    assert [float(line.split()[0]) for line in story] == sorted(float(line.split()[0]) for line in story)
    assert verdict.startswith(f"seed {seed}: K5: operator-")
    assert rerun == f"rerun: .venv/bin/python -m fleet.operator.tests.sim --seed {seed}"
