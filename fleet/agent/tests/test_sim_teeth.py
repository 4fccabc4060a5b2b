"""The simulated device bites: each mutant of the core is found, by the rule that it breaks."""

import pytest

from fleet.agent.tests.sim import seeds
from fleet.agent.tests.sim.judge import RuleError
from fleet.agent.tests.sim.mutants import MUTANTS, Mutant

_SEEDS_MAX = 300


def _verdict(seed: int, mutant: Mutant) -> str:
    try:
        seeds.run(seed, mutant.decide())
    except RuleError as e:
        return str(e).splitlines()[-2]
    return f"seed {seed}: all well"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_found(mutant: Mutant) -> None:
    """A broken core breaks its rule on some device before long."""
    verdicts = []
    for seed in range(_SEEDS_MAX):
        verdicts.append(_verdict(seed, mutant))
        if verdicts[-1].startswith(f"seed {seed}: {mutant.rule}: "):
            return
    pytest.fail("\n".join([f"{mutant.rule} is not seen broken:", *verdicts]))


def test_violation_tells_its_story_and_how_to_see_it_again() -> None:
    """What happened, a line each with its time; then the rule; then the command that runs this seed alone."""
    broken = next(mutant for mutant in MUTANTS if mutant.name == "the redeploy loop").decide()
    with pytest.raises(RuleError) as caught:
        seeds.run(0, broken)
    *story, verdict, rerun = str(caught.value).splitlines()
    assert "agent: starts" in story[0]
    assert [float(line.split()[0]) for line in story] == sorted(float(line.split()[0]) for line in story)
    assert verdict.startswith("seed 0: healthy-untouched: Stop(")
    assert rerun == "rerun: .venv/bin/python -m fleet.agent.tests.sim --seed 0"
