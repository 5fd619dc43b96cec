"""The checks and the brute force agree on random small histories; `make stress` compares many more."""

import re
from collections import Counter

import pytest
from brute_force import possible
from compared_cases import compared, compared_without_tickets, is_wrong_without_tickets
from generated_cases import generated

from ticketlab.outcomes import NOT_SEEN, Cause, Kind, Outcome

CASES = 600
AT_ONCE = 50
QUICK = 100
"""As many are compared each time; the others, which are more of the same, with the slow tests."""
ONCE_WRONG = (775, 4666, 5476, 5506, 8585, 9555, 9737, 11048, 16673, 18692)
"""Cases that the checks had decided otherwise than the brute force."""
MOST_OPEN = 2
"""Of so many at once; the stress test, which compares many, is strict about the share."""


def starts(cases):
    """The first seed of each lot, those after the quick ones slow."""
    lots = range(0, cases, AT_ONCE)
    return [pytest.param(each, marks=() if each < QUICK else pytest.mark.slow) for each in lots]


@pytest.mark.parametrize("first", starts(CASES))
def test_no_verdict_is_wrong(first):
    """No VALID for an impossible history, no INVALID for a possible one, no VALID where nothing was answered."""
    found = [(seed, compared(generated(seed))) for seed in range(first, first + AT_ONCE)]
    wrong = [f"seed {seed}: {each.disagreement}\n{each}" for seed, each in found if each.disagreement]
    assert not wrong, "\n\n".join([f"{len(wrong)} of {AT_ONCE}", *wrong])
    undecided = [f"seed {seed}:\n{each}" for seed, each in found if each.undecided]
    assert len(undecided) <= MOST_OPEN, "\n\n".join(undecided)


@pytest.mark.parametrize("seed", ONCE_WRONG)
def test_what_was_once_wrong_is_right(seed):
    """Stocks that fell below 0 and rose again; an id that bought twice, and a refund without a version."""
    found = compared(generated(seed))
    assert found.disagreement is None, found
    assert not found.undecided


@pytest.mark.parametrize("first", starts(CASES // 3))
def test_no_verdict_is_wrong_where_no_tickets_are_known(first):
    """A right order is not called wrong, nor a wrong one right, unless another check finds what is wrong."""
    found = [(seed, compared_without_tickets(generated(seed))) for seed in range(first, first + AT_ONCE)]
    wrong = [f"seed {seed}: {each}" for seed, each in found if is_wrong_without_tickets(each)]
    assert not wrong, "\n\n".join(wrong)


def test_what_a_check_says_is_in_the_singular_where_there_is_one(cases):
    """And speaks of no person, nor of the number that stands for an unknown one."""
    wrong = re.compile(rf"\b1 (?!was\b)[a-z]+s\b|\b(he|him|his|told)\b|{abs(NOT_SEEN):,}|{abs(NOT_SEEN)}")
    said = {each.summary for case in cases[:200] for each in compared(case).verdicts}
    assert len(said) > 100
    assert not [each for each in said if wrong.search(each)]


@pytest.fixture(scope="module")
def cases():
    return [generated(seed) for seed in range(2_000)]


def _used_again(case):
    """An id that buys more than once."""
    bought = Counter(each.purchase for each in case.operations if each.kind is Kind.PURCHASE)
    return max(bought.values(), default=0) > 1


def _of_sales(case, name):
    sales = [each for each in case.operations if each.outcome is Outcome.SOLD and not each.repeated]
    return [getattr(line, name) is not None for each in sales for line in each.lines]


def _reports_some(case, name):
    """Some sales carry it, and some do not."""
    return len(set(_of_sales(case, name))) == 2


def _touch(case):
    """One operation completes at the tick at which another is invoked."""
    return bool({each.completed for each in case.operations} & {each.invoked for each in case.operations})


class TestTheCases:
    def test_a_seed_gives_one_case(self, cases):
        assert [generated(seed) for seed in range(100)] == cases[:100]
        assert len(set(cases)) == len(cases)

    def test_they_are_of_both_kinds(self, cases):
        """Or agreement would show little: between 30 and 70 of a hundred are possible."""
        share = sum(map(possible, cases)) / len(cases)
        assert 0.3 < share < 0.7

    def test_most_have_an_answer(self, cases):
        assert sum(case.answered for case in cases) > 0.85 * len(cases)

    def test_they_are_of_the_sizes_that_a_brute_force_can_decide(self, cases):
        assert {len(case.operations) for case in cases} == set(range(2, 8))
        assert {len(case.events) for case in cases} == {1, 2}
        assert {event.total for case in cases for event in case.events} >= set(range(6))
        assert {line.quantity for case in cases for each in case.operations for line in each.lines} == {1, 2, 3}

    @pytest.mark.parametrize(
        ("kind", "outcome", "cause"),
        [
            (Kind.PURCHASE, Outcome.SOLD, Cause.NONE),
            (Kind.PURCHASE, Outcome.SOLD, Cause.REPEATED),
            (Kind.PURCHASE, Outcome.SOLD_OUT, Cause.INSUFFICIENT),
            (Kind.PURCHASE, Outcome.UNKNOWN, Cause.CONNECTION),
            (Kind.PURCHASE, Outcome.FAILED, Cause.TRANSACTION),
            (Kind.REFUND, Outcome.REFUNDED, Cause.NONE),
            (Kind.REFUND, Outcome.REFUNDED, Cause.REPEATED),
            (Kind.REFUND, Outcome.UNKNOWN, Cause.CONNECTION),
        ],
    )
    def test_every_answer_is_among_them_often(self, cases, kind, outcome, cause):
        ends = [{(each.kind, each.outcome, each.cause) for each in case.operations} for case in cases]
        assert sum((kind, outcome, cause) in each for each in ends) > 0.05 * len(cases)

    @pytest.mark.parametrize(
        "has",
        [
            pytest.param(lambda case: any(len(each.lines) > 1 for each in case.operations), id="baskets"),
            pytest.param(_used_again, id="ids used again"),
            pytest.param(lambda case: _reports_some(case, "version"), id="some versions missing"),
            pytest.param(lambda case: _reports_some(case, "available"), id="some stocks missing"),
            pytest.param(lambda case: not any(_of_sales(case, "version")), id="no sale with a version"),
            pytest.param(lambda case: any(each.available is None for each in case.events), id="last stock not known"),
            pytest.param(lambda case: any(each.version is None for each in case.events), id="last version not known"),
            pytest.param(_touch, id="ticks that are equal"),
        ],
    )
    def test_every_kind_of_history_is_among_them_often(self, cases, has):
        assert sum(map(has, cases)) > 0.05 * len(cases)
