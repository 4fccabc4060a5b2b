"""A thousand worlds. A seed that fails tells its story and the command that runs it alone."""

import pytest

from fleet.operator.tests.sim import world

SEEDS = 1000
_AT_ONCE = 50


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_every_rule_holds_in_every_world(first: int) -> None:
    """Edits, crashes, lags, losses, standstills and two operators, mixed by chance: no rule is broken on the way."""
    for seed in range(first, first + _AT_ONCE):
        world.run(seed)
