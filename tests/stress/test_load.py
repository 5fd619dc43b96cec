"""Every strategy under many purchases, judged by the lab: the safe ones are right, and the controls are caught."""

from collections import Counter

import pytest
from stress_plan import PLENTY, PURCHASES

from ticketlab.checks.verdict import Status, overall
from ticketlab.outcomes import Outcome
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

STRATEGIES = [name for name in strategies.registry() if name != "basket_unordered"]  # alone it sells rightly

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_load_is_judged_rightly(place, name, seconds, out, tell_of):
    """A safe strategy is VALID by every check, a control is INVALID; and nobody was left without a clear answer."""
    purchases = PURCHASES.get(name, PLENTY)
    experiment = Experiment(
        strategies=(name,),
        purchases=purchases,
        buyers=(32,),
        quantity=(1, 4),
        stock=2 * purchases,  # of two and a half that a purchase wants: it runs out near the end
        repeats=1,
        seconds=seconds,
        server=place,
    )
    run = lab.run(experiment, out=out)
    tell_of(run, "load")
    ((trial, verdicts),) = run.verdicts
    outcomes = Counter(trial.history()["outcome"])
    found = [each.summary for each in verdicts], outcomes
    assert overall(verdicts) is (Status.VALID if trial.safe else Status.INVALID), found
    assert {*outcomes} <= {Outcome.SOLD, Outcome.SOLD_OUT, Outcome.CONFLICT}, found
    assert Outcome.SOLD_OUT in outcomes or not trial.safe or outcomes.total() < purchases, found
