"""Every strategy while connections are cut and the server is killed: what was told stays true."""

import pytest

from ticketlab.checks.verdict import Status, overall
from ticketlab.load import Fault, FaultKind
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

STRATEGIES = [name for name in strategies.registry() if name != "basket_unordered"]  # alone it sells rightly
CUTS = ("disconnect@40", "disconnect@160", "lose-request@100", "lose-reply@200", "lose-reply@280")
CRASHES = ("crash@80", "crash@240")
PURCHASES = 1_500
LEAST_S = 5.0
"""However late it is: the slowest strategy on a busy machine is to come to the first crash."""

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", STRATEGIES)
def test_faults_are_judged_rightly(place, name, seconds, out, tell_of):
    """Connections break in three ways, and where it can be the server is killed: safe is VALID, a control INVALID."""
    faults = CUTS + CRASHES if place.startswith("embedded") else CUTS
    experiment = Experiment(
        strategies=(name,),
        purchases=PURCHASES,
        buyers=(16,),
        quantity=(1, 3),
        stock=10**6,  # who is told that all is sold has nothing to lose
        repeats=1,
        seconds=max(seconds, LEAST_S),
        server=place,
        faults=tuple(map(Fault.parse, faults)),
    )
    run = lab.run(experiment, out=out)
    tell_of(run, "faults")
    ((trial, verdicts),) = run.verdicts
    found = [each.summary for each in verdicts]
    assert overall(verdicts) is (Status.VALID if trial.safe else Status.INVALID), found
    assert trial.faults_ns[FaultKind.DISCONNECT], "no connection was cut"
    assert trial.crashes_ns or not place.startswith("embedded"), "the server was not crashed"
