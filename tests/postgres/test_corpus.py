"""Each function of the corpus once, under the load that shows its mistake: it gets the verdict that it must get.

The whole corpus under longer loads, with faults: tests/stress/test_corpus.py.
"""

import pytest
from corpus.expected import CORPUS, Need
from corpus.loads import experiment, found, is_found_as_meant, judging, summaries

from ticketlab import Strategy
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.outcomes import Outcome
from ticketlab.report.explain import VOID_LOCK

SHORT = {"buyers": 12, "seats": 60, "purchases": 180, "seconds": 30.0}
"""Ended by its purchases, or because all is sold, and not by the clock: a slow machine shows the same."""
AS_ON_A_DISK = {"commit_delay": 5_000, "commit_siblings": 0}
"""Microseconds: where data are in memory a commit would be over before a fault can meet it."""
UNANSWERED = (Outcome.FAILED, Outcome.CONFLICT, Outcome.UNAVAILABLE, Outcome.UNKNOWN)
LIMIT = 0.05
"""The share of purchases without an answer from which on a function makes no progress."""


@pytest.fixture(scope="session")
def judge(pytestconfig):
    """A server of the corpus's own, which allows two-phase commits; one for each process of the test run."""
    with judging(pytestconfig.getoption("--on") or "embedded", **AS_ON_A_DISK) as judge:
        yield judge


QUICK = {
    *("commits_itself", "leaves_the_commit_to_its_caller", "sells_in_one_statement", "inserts_on_conflict"),
    *("retries_what_cannot_be_serialized", "lets_a_trigger_take_the_seats", "locks_the_first_free_seats"),
    *("does_not_retry", "writes_back_what_it_read", "counts_in_a_snapshot", "ignores_the_row_count"),
    *("unlocks_before_the_commit", "raises_the_seats", "sells_another_event", "gives_up_midway"),
    *("takes_the_stock_later", "calls_a_lost_commit_failed", "does_not_wait_for_the_disk", "looks_up_the_id_first"),
    *("hands_out_by_position", "holds_seats_back", "keeps_an_advisory_lock", "swallows_deadlocks"),
}
"""Of each claim that is broken, and of each way to be right, a function or two; the others are slow tests."""


def named(*, right):
    names = [name for name, each in CORPUS.items() if each.right is right]
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", named(right=True))
def test_a_right_function_is_valid(judge, tmp_path, name):
    """By every check: none of them is UNKNOWN. With refunds where its tables allow them."""
    expected = CORPUS[name]
    needs = {*expected.needs, Need.QUANTITY}
    needs |= {Need.REFUNDS} if expected.schema is None else set()
    needs |= {Need.DOUBLE_CALLS} if expected.idempotent else set()
    run = judge(expected, experiment(expected, needs, **SHORT), tmp_path)
    verdicts = found(run)
    assert {each.status for each in verdicts.values()} == {Status.VALID}, summaries(verdicts)
    (trial,) = run.trials
    outcomes = trial.history().query("kind == 'purchase'")["outcome"]
    assert (outcomes == Outcome.SOLD).any()
    assert bool(outcomes.isin(UNANSWERED).mean() <= LIMIT) is expected.progress


@pytest.mark.parametrize("name", named(right=False))
def test_a_wrong_function_is_invalid_by_the_claim_that_it_breaks(judge, tmp_path, name):
    """And by the anomaly that is the name of its mistake: in one of three runs, as a busy machine may lose no reply."""
    expected = CORPUS[name]
    for seed in (1, 2, 3):
        run = judge(expected, experiment(expected, expected.needs, **SHORT, seed=seed), tmp_path)
        verdicts = found(run)
        if is_found_as_meant(expected, verdicts):
            break
    assert is_found_as_meant(expected, verdicts), summaries(verdicts)
    if expected.autocommit and Anomaly.LOST_UPDATE in (each.anomaly for each in verdicts.values()):
        assert any(VOID_LOCK in " ".join(row["story"]) for row in run.verdict_rows())


def test_some_function_breaks_each_claim_that_is_broken_and_is_quick_to_show_it():
    """And each quick one is in the corpus."""
    assert {*CORPUS} >= QUICK
    broken = {check for each in CORPUS.values() for check in each.breaks}
    assert {check for name in QUICK for check in CORPUS[name].breaks} == broken


def test_each_function_says_what_is_wrong_with_it_or_why_it_is_right():
    """In the first line of its docstring; and what is wrong has a check that is meant to find it."""
    assert len(CORPUS) >= 40
    assert len(named(right=True)) >= 14
    for each in CORPUS.values():
        function = each.function.purchase if isinstance(each.function, Strategy) else each.function
        assert function.__doc__.startswith("Right" if each.right else "Wrong"), each.name
        assert each.right is not bool(each.breaks), each.name
