"""A thousand devices. A seed that fails tells its story and the command that runs it alone."""

import pytest

from fleet.agent.tests.sim import seeds

SEEDS = 1000
_AT_ONCE = 100


@pytest.mark.rule("A1", "A3", "A6")
@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_every_rule_holds_on_every_device(first: int) -> None:
    """New versions, deletions, deaths, silence, taken ports and kills of the agent: no rule is broken on the way."""
    for seed in range(first, first + _AT_ONCE):
        seeds.run(seed)
