"""Baskets from many buyers: nobody deadlocks, nobody oversells, and the control that names no order is caught."""

import pytest

from ticketlab import lab
from ticketlab.evidence.verdict import Status, overall
from ticketlab.experiment import Experiment
from ticketlab.tickets import strategies

BASKETS = [name for name, each in strategies.registry().items() if each.basket is not None]
LOAD = {
    "purchases": 20_000,
    "buyers": (32,),
    "events": 5,
    "basket": (2, 3),
    "quantity": (1, 4),
    "stock": 24_000,  # of about 25,000 that are wanted of each event: it runs out near the end
    "repeats": 1,
    "seconds": 900.0,
    "server": "embedded",
    "server_settings": {"deadlock_timeout": "10ms"},  # or the control would wait a second for each
}

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", BASKETS)
def test_twenty_thousand_baskets_are_judged_rightly(tmp_path, name):
    """A safe strategy is VALID by every check, no deadlock among them; the control is INVALID, for its deadlocks."""
    fewer = {} if strategies.get(name).safe else {"purchases": 2_000}  # each deadlock takes its time
    run = lab.run(Experiment(**LOAD | fewer, strategies=(name,)), out=tmp_path)
    ((trial, verdicts),) = run.verdicts
    wrong = {each.check for each in verdicts if each.status is not Status.VALID}
    assert wrong == (set() if trial.safe else {"no_deadlock"}), [each.summary for each in verdicts]
    assert overall(verdicts) is (Status.VALID if trial.safe else Status.INVALID)
    assert run.measures["sold_out"].sum() > 0 or not trial.safe
