"""All strategies in one run, as a user compares them; the run and its report are kept."""

import pytest
from stress_plan import KEPT

from ticketlab import report_writer
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

BUYERS = (4, 16, 64)
LONGEST_S = 1.5
OVERHEAD_S = 1.0
"""Of a trial: its warm-up, and what comes before and after it."""

pytestmark = pytest.mark.stress


def test_every_strategy_in_one_run(newest, seconds):
    """No strategy that claims to be safe is found wrong, with few buyers or many."""
    names = tuple(strategies.registry())
    each = seconds / (len(names) * len(BUYERS)) - OVERHEAD_S
    experiment = Experiment(
        name="stress",
        strategies=names,
        buyers=BUYERS,
        repeats=1,
        seconds=min(LONGEST_S, max(0.5, each)),
        stock=10**6,
        server=newest,
    )
    run = lab.run(experiment, out=KEPT)
    assert report_writer.write([run]).exists()
    assert (run.failed_strategies, run.ended_early) == ([], False)
    assert len(run.trials) == len(names) * len(BUYERS)
