"""Safe strategies by plans drawn at random, some of them cut off or crashed: no check cries wolf."""

import pytest

from ticketlab import power
from ticketlab.power import MutationPlan
from ticketlab.tickets import strategies

SAFE = [name for name, each in strategies.registry().items() if each.safe]
SEEDS = (11, 12)

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("seed", SEEDS)
def test_safe_strategies_raise_no_alarm(place, seed, out):
    """Each of them once, by a plan of its own."""
    results, _ = power.run(MutationPlan(mutants=(), trials=len(SAFE), seed=seed, server=place), out=out)
    assert [(each.strategy, each.load, each.invalid) for each in results.false_alarms] == []
    assert {each.strategy for each in results.safe} == {*SAFE}
