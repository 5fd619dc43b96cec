"""How surely and how soon the checks catch what is wrong, and how often they cry wolf.

    results, folder = power.run(power.Exam(mutants=("pessimistic_unlocked",), repeats=5, trials=0))
    results.as_json()
    power.read(folder)

Every mutant, a safe strategy with one mistake, sells under rising contention until the check that its mistake is meant
for says INVALID; safe strategies sell by plans drawn at random, and every INVALID is a false alarm.
"""

from ticketlab.power.plan import MutationPlan
from ticketlab.power.results import Results
from ticketlab.power.runner import run
from ticketlab.power.storage import read

__all__ = ["MutationPlan", "Results", "read", "run"]
