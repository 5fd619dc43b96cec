"""Every strategy under many purchases, judged by the lab: the safe ones are right, and the controls are caught."""

from collections import Counter

import pytest

from ticketlab import lab
from ticketlab.evidence.verdict import Status, overall
from ticketlab.experiment import Experiment
from ticketlab.outcomes import Outcome
from ticketlab.tickets import strategies

STRATEGIES = [name for name in strategies.registry() if name != "basket_unordered"]  # alone it sells rightly
PURCHASES = 20_000
LOAD = {
    "purchases": PURCHASES,
    "buyers": (32,),
    "quantity": (1, 4),
    "stock": 48_000,  # of about 50,000 that are wanted: it runs out near the end
    "repeats": 1,
    "seconds": 3600.0,  # an end that no strategy should need
    "server": "embedded",
}

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", STRATEGIES)
def test_twenty_thousand_purchases_are_judged_rightly(tmp_path, name):
    """A safe strategy is VALID by every check, a control is INVALID; and nobody was left without a clear answer."""
    run = lab.run(Experiment(**LOAD, strategies=(name,)), out=tmp_path)
    ((trial, verdicts),) = run.verdicts
    outcomes = Counter(trial.history()["outcome"])
    found = [each.summary for each in verdicts], outcomes
    assert overall(verdicts) is (Status.VALID if trial.safe else Status.INVALID), found
    assert {*outcomes} <= {Outcome.SOLD, Outcome.SOLD_OUT, Outcome.CONFLICT}, found
    assert Outcome.SOLD_OUT in outcomes or not trial.safe, found
