"""Which calls of one purchase id took effect, and in which window of time."""

import pytest

from ticketlab.history.arrays import NEVER
from ticketlab.history.effects import IdCall, as_answered, explanations, merged

A, B = 0, 1


def call(since, until, *, purchase=True, certain=True, repeated=False, lines=None, versions=None, stocks=None):
    return IdCall(
        rows=(since,),
        is_purchase=purchase,
        is_certain=certain,
        is_repeated=repeated,
        lines=lines or {A: 1},
        versions=versions or {},
        stocks=stocks or {},
        since=since,
        until=until if certain else NEVER,
    )


def refund(since, until, **more):
    return call(since, until, purchase=False, **more)


def lost(since, **more):
    return call(since, NEVER, certain=False, **more)


def effects_of(found):
    """The explanations as sets of the places of those calls that took effect."""
    return {frozenset(place for place in range(12) if mask >> place & 1) for mask in found}


def test_of_two_calls_that_were_answered_sold_one_made_the_sale_and_one_confirms_it():
    calls = [call(0, 5), call(3, 8)]
    assert effects_of(explanations(calls, {A: 1})) == {frozenset({0}), frozenset({1})}


def test_a_second_sale_of_the_same_id_is_impossible():
    assert explanations([call(0, 5), call(6, 8)], {A: 2}) == set()


def test_a_second_sale_on_another_event_is_impossible():
    calls = [call(0, 5), call(6, 8, lines={B: 1})]
    assert explanations(calls, {A: 1, B: 1}) == set()


def test_an_answer_that_reports_an_earlier_call_is_its_own_sale_only_if_no_other_call_sold():
    alone = [call(0, 5, repeated=True)]
    assert effects_of(explanations(alone, {A: 1})) == {frozenset({0})}
    beside_a_sale = [call(0, 5), call(6, 8, repeated=True)]
    assert explanations(beside_a_sale, {A: 2}) == set()
    assert effects_of(explanations(beside_a_sale, {A: 1})) == {frozenset({0})}


@pytest.mark.parametrize("lines", [{A: 2}, {B: 1}, {A: 1, B: 1}])
def test_an_answer_that_reports_an_earlier_call_names_just_what_that_call_bought(lines):
    for owned in ({A: 1}, lines, {A: 1, B: 1}, {}):
        assert explanations([call(0, 5), call(6, 8, repeated=True, lines=lines)], owned) == set()


def test_a_half_purchase_has_no_explanation():
    assert explanations([call(0, 5, repeated=True, lines={A: 3})], {A: 1}) == set()


def test_an_id_that_was_refunded_may_buy_again():
    calls = [call(0, 5), refund(6, 8), call(10, 15)]
    assert effects_of(explanations(calls, {A: 1})) == {frozenset({0, 1, 2})}
    assert explanations(calls, {}) == set()


def test_of_two_lost_calls_before_a_refund_one_sold():
    calls = [lost(0), lost(6), refund(10, 15)]
    assert effects_of(explanations(calls, {})) == {frozenset({0, 2}), frozenset({1, 2})}


def test_a_refund_that_found_nothing_contradicts_tickets_that_were_there():
    calls = [call(0, 5), refund(6, 8, repeated=True)]
    assert explanations(calls, {A: 1}) == set()
    overlapping = [call(0, 7), refund(6, 8, repeated=True)]
    assert effects_of(explanations(overlapping, {A: 1})) == {frozenset({0})}


def test_a_confirmation_names_the_version_of_its_sale():
    same = [call(0, 5, versions={A: 2}), call(6, 8, versions={A: 2})]
    assert effects_of(explanations(same, {A: 1})) == {frozenset({0})}
    other = [call(0, 5, versions={A: 2}), call(6, 8, versions={A: 3})]
    assert explanations(other, {A: 1}) == set()


def one_sale(calls, owned):
    return merged(calls, explanations(calls, owned))


def test_a_lost_call_and_its_repetition_are_one_sale_from_the_first_call_to_the_answer():
    one = one_sale([lost(0), call(8, 9, repeated=True)], {A: 1})
    assert (one.since, one.until) == (0, 9)


def test_a_sale_is_over_before_any_of_its_confirmations_ends():
    one = one_sale([call(0, 20), call(5, 9, repeated=True)], {A: 1})
    assert (one.since, one.until) == (0, 9)


def test_a_refund_comes_after_the_calls_that_found_the_tickets():
    one = one_sale([call(0, 5), call(30, 40), refund(20, 50)], {})
    assert (one.since, one.until, one.refund_since) == (0, 5, 30)


def test_a_sale_comes_after_the_call_of_a_refund_that_found_nothing():
    one = one_sale([call(0, 9), refund(6, 8, repeated=True)], {A: 1})
    assert (one.since, one.until) == (6, 9)


def test_a_reported_stock_counts_only_for_the_call_that_made_the_sale():
    lost_first = one_sale([lost(0), call(5, 9, stocks={A: 4})], {A: 1})
    assert lost_first.stock_ignored
    assert not one_sale([call(5, 9, stocks={A: 4}), call(20, 25, repeated=True)], {A: 1}).stock_ignored
    assert one_sale([call(0, 9, stocks={A: 4}), lost(5)], {A: 1}) is None


def test_sales_that_are_not_alike_are_not_merged():
    assert one_sale([call(0, 5), refund(6, 8), call(10, 15)], {A: 1}) is None


def test_of_an_answered_and_a_lost_call_the_answered_one_is_an_explanation():
    """It comes before the first answer of its id; a call that was lost, or reports no version, is none."""
    answered, lost, again = call(1, 9, versions={A: 2}, stocks={A: 4}), call(0, 5, certain=False), call(2, 7)
    calls = [answered, lost, again]
    one = as_answered(calls, explanations(calls, {A: 1}))
    assert (one.sale, one.since, one.until, one.stock_ignored, one.refund) == (answered, 1, 7, False, None)
    assert as_answered([lost, again], explanations([lost, again], {A: 1})) is None
    assert as_answered(calls, {0b010}) is None
    assert as_answered([*calls, refund(20, 30)], {0b1001}) is None
