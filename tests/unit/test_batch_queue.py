"""The queue before a hot event, without a database: each order is played step by step. Nothing sleeps."""

from uuid import UUID

import pytest

from ticketlab.errors import UnavailableError
from ticketlab.outcomes import Outcome
from ticketlab.tickets import PurchaseRequest, PurchaseResult
from ticketlab.tickets.purchase import Basket
from ticketlab.tickets.strategy import QueueFullError

DEADLINE_S = 30
ONE, OTHER = UUID(int=1), UUID(int=2)


def sold(request):
    return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)


def answer(purchase):
    return purchase.result(timeout=DEADLINE_S)


def error(purchase):
    return purchase.exception(timeout=DEADLINE_S)


def test_who_is_alone_waits_for_nobody(office):
    """A purchase on which nobody waits is a batch of its own, begun at once, in the buyer's own thread."""
    office.tell()
    request = PurchaseRequest(event_id=ONE, quantity=3, purchase_id=ONE)
    assert office.gatherer.purchase(request).quantity == 3
    assert office.batch() == [3]


def test_those_who_come_during_a_batch_are_the_next_one(office):
    """While one batch commits the next gathers, in the order in which its buyers came; each gets his own answer."""
    purchases = [office.buys(1)]
    assert office.batch() == [1]
    purchases += [office.buys(quantity) for quantity in (4, 2, 3)]
    office.tell()
    assert office.batch() == [4, 2, 3]
    office.tell()
    assert [answer(each).quantity for each in purchases] == [1, 4, 2, 3]


def test_the_next_batch_begins_before_the_buyers_of_the_last_go_on(office):
    """The lead is handed over first: what a buyer does with his answer keeps nobody from buying."""
    office.buys(1)
    office.batch()
    office.buys(2)
    office.tell()
    office.batch()
    office.buys(3)
    office.tell()
    assert office.batch() == [3]
    office.tell()


def test_a_batch_is_bounded(office):
    """Of five who wait two are served at a time, and the fifth alone."""
    office.gathering(largest_batch=2)
    purchases = [office.buys(1)]
    assert office.batch() == [1]
    purchases += [office.buys(quantity) for quantity in (2, 3, 4, 5, 6)]
    for expected in ([2, 3], [4, 5], [6]):
        office.tell()
        assert office.batch() == expected
    office.tell()
    assert [answer(each).quantity for each in purchases] == [1, 2, 3, 4, 5, 6]


def test_a_full_queue_answers_at_once_and_harms_nobody(office):
    """One too many is told so without waiting; those who have their place are served, and then there is room again."""
    office.gathering(longest_queue=2)
    purchases = [office.buys(1)]
    office.batch()
    purchases += [office.buys(2), office.buys(3)]
    with pytest.raises(QueueFullError, match="2 purchases already wait"):
        office.gatherer.purchase(PurchaseRequest(event_id=ONE, quantity=9, purchase_id=ONE))
    office.tell()
    assert office.batch() == [2, 3]
    purchases.append(office.buys(4))
    office.tell()
    assert office.batch() == [4]
    office.tell()
    assert [answer(each).quantity for each in purchases] == [1, 2, 3, 4]


def test_what_a_batch_raises_is_everybodys_answer(office):
    """A batch fails as a whole: all in it are told the same, and the next batch is sold."""
    office.buys(1)
    office.batch()
    failing = [office.buys(2), office.buys(3)]
    office.tell()
    office.batch()
    fine, failure = office.buys(4), RuntimeError("as told")
    office.tell(failure)
    assert [error(each) for each in failing] == [failure, failure]
    assert office.batch() == [4]
    office.tell()
    assert answer(fine).success


def test_an_answer_may_be_an_error_of_ones_own(office):
    """One of the batch is told of a failure, and the others are sold."""
    office.buys(1)
    office.batch()
    purchases = [office.buys(quantity) for quantity in (2, 3, 4)]
    office.tell()
    office.batch()
    office.tell(lambda request: LookupError("three") if request.quantity == 3 else sold(request))
    assert [type(error(each)) for each in purchases] == [type(None), LookupError, type(None)]
    assert (answer(purchases[0]).quantity, answer(purchases[2]).quantity) == (2, 4)


def test_too_few_answers_leave_nobody_waiting(office):
    """A defect of what serves is told to everybody, rather than one of them waiting for ever."""
    serve = office.gatherer._serve
    office.gatherer._serve = lambda connection, requests: serve(connection, requests)[:1]
    office.buys(1)
    office.batch()
    purchases = [office.buys(2), office.buys(3)]
    office.tell()
    office.batch()
    office.tell()
    assert [type(error(each)) for each in purchases] == [ValueError, ValueError]


def test_different_events_do_not_wait_for_one_another(office):
    """A batch on one event is under way, and another event is sold from beginning to end."""
    slow = office.buys(1)
    office.batch()
    office.tell(event=OTHER)
    assert answer(office.buys(2, OTHER)).quantity == 2
    assert not slow.done()
    office.tell()


def test_a_basket_waits_with_the_buyers_of_its_lowest_event(office):
    """Whatever the buyer's order is, it stands in the queue of the event whose row is locked first."""
    office.buys(1)
    office.batch()
    basket = office.asks(Basket(quantities={OTHER: 4, ONE: 3}, purchase_id=ONE))
    office.buys(2)
    office.tell()
    assert office.batch() == [7, 2]
    office.tell()
    assert answer(basket).quantity == 7


def test_those_who_come_while_a_connection_is_waited_for_are_served_with_it(office):
    """The batch is taken when it can be sent, not before."""
    office.free.clear()
    purchases = [office.buys(quantity) for quantity in (1, 2, 3)]
    office.free.set()
    assert office.batch() == [1, 2, 3]
    office.tell()
    assert [answer(each).quantity for each in purchases] == [1, 2, 3]


def test_where_there_is_no_connection_all_who_wait_are_told(office):
    """They are not left to lead one after the other, each waiting for a timeout of his own; larger than a batch."""
    office.gathering(largest_batch=2)
    office.free.clear()
    purchases = [office.buys(quantity) for quantity in (1, 2, 3, 4)]
    office.refusal = UnavailableError("no connection")
    office.free.set()
    assert [error(each) for each in purchases] == [office.refusal] * 4
    assert office.asked.qsize() == 1
