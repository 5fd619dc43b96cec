"""Measures the checks: how reliably and how soon they detect mutants, and how often they accuse a safe strategy.

    results, folder = power.run(power.MutationPlan(mutants=("pessimistic_unlocked",), repeats=5, trials=0))
    results.as_json()
    power.read(folder)

Every mutant, a safe strategy with one mistake, sells under rising contention until the check that its mistake should
fail says INVALID. Safe strategies sell by random plans; there every INVALID is a false alarm.
"""

from ticketlab.power.plan import MutationPlan
from ticketlab.power.results import MutationResults
from ticketlab.power.runner import run
from ticketlab.power.tables import read

__all__ = ["MutationPlan", "MutationResults", "read", "run"]
