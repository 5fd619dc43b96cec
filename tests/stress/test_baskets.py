"""Baskets from many buyers: nobody deadlocks, nobody oversells, and the control that names no order is caught."""

import pytest

from ticketlab.checks.verdict import Status, overall
from ticketlab.history.recording import purchases_of
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

BASKETS = [name for name, each in strategies.registry().items() if each.basket is not None]
PURCHASES = 10_000
OF_THE_CONTROL = 2_000
"""Each deadlock takes its time."""

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", BASKETS)
def test_baskets_are_judged_rightly(place, name, seconds, out, tell_of):
    """A safe strategy is VALID by every check, no deadlock among them; the control is INVALID, for its deadlocks."""
    purchases = PURCHASES if strategies.get(name).safe else OF_THE_CONTROL
    experiment = Experiment(
        strategies=(name,),
        purchases=purchases,
        buyers=(32,),
        events=5,
        basket=(2, 3),
        quantity=(1, 4),
        stock=purchases,  # of one and a quarter that a purchase wants of each event: it runs out near the end
        repeats=1,
        seconds=seconds,
        server=place,
        server_settings={"deadlock_timeout": "10ms"},  # or the control would wait a second for each
    )
    run = lab.run(experiment, out=out)
    tell_of(run, "baskets")
    ((trial, verdicts),) = run.verdicts
    wrong = {each.check for each in verdicts if each.status is not Status.VALID}
    assert wrong == (set() if trial.safe else {"no_deadlock"}), [each.summary for each in verdicts]
    assert overall(verdicts) is (Status.VALID if trial.safe else Status.INVALID)
    made = len(purchases_of(trial.history()))  # of a basket it has a row an event
    assert run.measures["sold_out"].sum() > 0 or not trial.safe or made < purchases
