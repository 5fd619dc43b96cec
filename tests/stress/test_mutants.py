"""Every mutant, on every server: the check that its mistake is meant for finds it."""

import pytest

from ticketlab import power
from ticketlab.power import MutationPlan

REPEATS = 2
PURCHASES = 5_000
"""Many times what any of them was ever seen to need."""

pytestmark = pytest.mark.stress


def test_a_mutant_is_caught(place, mutant, out, tell):
    """Pressed by more and more buyers, twice from the beginning: once it may be lucky."""
    exam = MutationPlan(mutants=(mutant,), repeats=REPEATS, trials=0, purchases=PURCHASES, server=place)
    results, _ = power.run(exam, out=out)
    (found,) = results.found
    first = {each.check: each.purchases for run in reversed(found.runs) for each in run.detections}
    tell(mutant=mutant, meant=found.mutant.check, by={name: first[name] for name in found.detections_by_check})
    assert found.detections, f"{found.mutant.check} did not catch it; found by {dict(found.detections_by_check)}"
