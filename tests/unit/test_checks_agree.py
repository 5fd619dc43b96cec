"""The fast checks and the general search come to the same verdict: two ways to it that share nothing but the model."""

import pytest
from random_histories import random_case

from ticketlab.checks import CHECKS
from ticketlab.checks.search._linearizability import linearizable
from ticketlab.checks.verdict import Status, overall
from ticketlab.history.index import IndexedHistory

HISTORIES = 2_000
AT_ONCE = 100
QUICK = 200
"""As many are compared each time; the others, which are more of the same, with the slow tests."""
MODEL = [each for each in CHECKS if each.name not in {"no_deadlock", "durable", "answers_match_tickets"}]
"""Those that ask whether some order explains everything: a deadlock and a crash are no matter of order."""


def verdicts(seed):
    history, ledger = random_case(seed)
    case = IndexedHistory(history, ledger)
    return overall(each.decide(case) for each in MODEL), linearizable(history, ledger).status


@pytest.mark.parametrize(
    "first",
    [
        *range(0, QUICK, AT_ONCE),
        *(pytest.param(each, marks=pytest.mark.slow) for each in range(QUICK, HISTORIES, AT_ONCE)),
    ],
)
def test_both_come_to_the_same_verdict(first):
    """VALID where the search finds an order, INVALID where there is none, on random histories of both kinds."""
    differing = {seed: found for seed in range(first, first + AT_ONCE) if len(set(found := verdicts(seed))) > 1}
    assert not differing


def test_the_histories_are_of_both_kinds():
    """Or agreement would show little: many are right, and many are wrong."""
    found = [linearizable(*random_case(seed)).status for seed in range(AT_ONCE)]
    assert found.count(Status.VALID) > AT_ONCE // 4
    assert found.count(Status.INVALID) > AT_ONCE // 4
    assert Status.UNKNOWN not in found
