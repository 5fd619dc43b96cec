"""The functions of the corpus under longer loads, with refunds, cuts and crashes: no right one is called wrong."""

from itertools import cycle, islice

import pytest
from corpus.expected import CORPUS, FAULTS, Need
from corpus.loads import experiment, found, is_found_as_meant, judging, summaries

from ticketlab.checks.verdict import Status, overall

TRIALS = 10
"""Of each right function; all are to be VALID."""
LONGEST_S = 3.0
LEAST_S = 1.0
OVERHEAD_S = 1.5
"""Of a trial: its database, what is judged, and a server that is started again."""
LOAD = {"buyers": 16, "seats": 400, "purchases": 1_000}
SOLD_OUT_SOON = {"buyers": 16, "seats": 60, "purchases": 600, "seconds": 20.0}
"""Of a wrong function, whose mistake may need the last seat: ended by that, and on a slow machine not by the clock."""
CUTS = {Need.DISCONNECT, Need.LOSE_REPLY, Need.LOSE_REQUEST}
ALONE = (set(), {Need.REFUNDS}, CUTS, {Need.CRASH})
CONDITIONS = (*ALONE, {Need.REFUNDS, *CUTS}, {Need.REFUNDS, Need.CRASH})

pytestmark = pytest.mark.stress


@pytest.fixture(scope="session")
def judge(newest):
    """A server of the corpus's own, which allows two-phase commits; one for each process of the test run."""
    with judging(newest) as judge:
        yield judge


@pytest.fixture
def tell_of(request, newest):
    """Say what came of a function's trials, for the summary."""

    def say(expected, runs):
        for run in runs:
            ((trial, verdicts),) = run.verdicts
            row = {
                "server": newest,
                "strategy": expected.name,
                "safe": expected.right,
                "under": "corpus",
                "purchases": len(trial.history()),
                "sales": int(run.measures["sales"].sum()),
                "seconds": float(run.measures["seconds"].sum()),
                "verdict": str(overall(verdicts)),
            }
            request.node.user_properties.append(("stress", row))

    return say


def conditions_of(expected, place):
    """Those that its tables, its promise and the server allow."""
    impossible = {*expected.not_under}
    impossible |= set() if expected.schema is None else {Need.REFUNDS}
    impossible |= set() if place.startswith("embedded") else {Need.CRASH}
    return [each for each in CONDITIONS if not each & impossible]


@pytest.mark.parametrize("name", [name for name, each in CORPUS.items() if each.right])
def test_a_right_function_is_valid_in_every_trial(judge, newest, name, seconds, out, tell_of):
    """Ten of ten, under one condition after another; no check is UNKNOWN."""
    expected = CORPUS[name]
    common = {*expected.needs, Need.QUANTITY, Need.EVENTS} | ({Need.DOUBLE_CALLS} if expected.idempotent else set())
    conditions = [
        # Seats until the last fault has come; where there is none, they are sold out.
        each | {Need.PLENTY} if each & {*FAULTS} else each
        for each in conditions_of(expected, newest)
    ]
    longest = min(LONGEST_S, max(LEAST_S, seconds / TRIALS - OVERHEAD_S))
    loads = [
        experiment(expected, common | condition, seconds=longest, seed=seed, **LOAD)
        for seed, condition in enumerate(islice(cycle(conditions), TRIALS), start=1)
    ]
    runs = [judge(expected, load, out) for load in loads]
    tell_of(expected, runs)
    wrong = {
        load.command(): summaries(found(run))
        for load, run in zip(loads, runs, strict=True)
        if overall(found(run).values()) is not Status.VALID
    }
    assert wrong == {}


@pytest.mark.parametrize("name", [name for name, each in CORPUS.items() if not each.right])
def test_a_wrong_function_is_invalid_whatever_else_happens(judge, newest, name, out, tell_of):
    """Under its own load by the check that is meant to find it; with refunds, cuts and crashes by that or another."""
    expected = CORPUS[name]
    if Need.CRASH in expected.needs and not newest.startswith("embedded"):
        pytest.skip("its mistake shows in a crash, and only a server of kind embedded can be crashed")
    conditions = [each for each in conditions_of(expected, newest) if each in ALONE]
    runs = [
        judge(expected, experiment(expected, {*expected.needs} | condition, **SOLD_OUT_SOON), out)
        for condition in conditions
    ]
    tell_of(expected, runs)
    assert is_found_as_meant(expected, found(runs[0])), summaries(found(runs[0]))
    assert [overall(found(run).values()) for run in runs] == [Status.INVALID] * len(runs), [
        summaries(found(run)) for run in runs
    ]
