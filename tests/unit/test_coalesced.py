"""What becomes of each purchase of a batch, decided from what was read under the locks. No database."""

from uuid import UUID

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import PurchaseRequest
from ticketlab.tickets.purchase import Basket
from ticketlab.tickets.strategies.coalesced import decide

ONE, OTHER, NOWHERE = UUID(int=1), UUID(int=2), UUID(int=3)


def wants(quantity, *, event=ONE, purchase):
    return PurchaseRequest(event_id=event, quantity=quantity, purchase_id=UUID(int=purchase))


def basket(purchase, **quantities):
    events = {"one": ONE, "other": OTHER, "nowhere": NOWHERE}
    return Basket(quantities={events[name]: n for name, n in quantities.items()}, purchase_id=UUID(int=purchase))


def told(answers):
    return [(answer.outcome, answer.version, answer.available_tickets) for answer in answers]


def test_first_come_first_served():
    """Two want the last two tickets, and the first has them; each answer has the version that it made or saw."""
    answers = decide([wants(2, purchase=1), wants(2, purchase=2)], [(ONE, 2, 7)], bought=())
    assert told(answers) == [(Outcome.SOLD, 8, 0), (Outcome.SOLD_OUT, 8, 0)]


def test_one_who_wants_too_many_is_refused_and_the_next_may_still_fit():
    """A refusal takes nothing, and makes no version: those behind are sold what it left."""
    wanted = [wants(n, purchase=purchase) for purchase, n in enumerate((2, 9, 3, 1), start=1)]
    answers = decide(wanted, [(ONE, 5, 1)], bought=())
    assert told(answers) == [
        (Outcome.SOLD, 2, 3),
        (Outcome.SOLD_OUT, 2, 3),
        (Outcome.SOLD, 3, 0),
        (Outcome.SOLD_OUT, 3, 0),
    ]
    assert [answer.cause for answer in answers][1::2] == [Cause.INSUFFICIENT] * 2


def test_an_id_that_has_bought_before_buys_nothing_more():
    """Before this batch, or earlier in it: sold, as a repeat, and nothing is taken off the stock for it."""
    wanted = [wants(1, purchase=1), wants(2, purchase=2), wants(3, purchase=2), wants(4, purchase=3)]
    answers = decide(wanted, [(ONE, 6, 1)], bought={UUID(int=1)})
    assert [answer.outcome for answer in answers] == [Outcome.SOLD] * 4
    assert [answer.cause for answer in answers] == [Cause.REPEATED, Cause.NONE, Cause.REPEATED, Cause.NONE]
    assert [answer.version for answer in answers] == [None, 2, None, 3]
    assert answers[3].available_tickets == 0


def test_an_id_that_was_refused_may_buy_what_is_left():
    """A refusal is no purchase: the same id asks for fewer, and has them."""
    answers = decide([wants(3, purchase=1), wants(2, purchase=1)], [(ONE, 2, 1)], bought=())
    assert told(answers) == [(Outcome.SOLD_OUT, 1, 2), (Outcome.SOLD, 2, 0)]


def test_an_event_that_is_not_there_fails_alone():
    """There is no such event: its buyer is told so, and the others of the batch are sold."""
    answers = decide([wants(1, event=NOWHERE, purchase=1), wants(1, purchase=2)], [(ONE, 5, 1)], bought=())
    assert [(answer.outcome, answer.cause) for answer in answers] == [
        (Outcome.FAILED, Cause.UNKNOWN_EVENT),
        (Outcome.SOLD, Cause.NONE),
    ]


def test_a_basket_is_sold_all_or_nothing():
    """One event of it has too few: none of the others is touched, and the next buyer has them."""
    wanted = [basket(1, one=2, other=2), wants(2, purchase=2), basket(3, one=1, other=1)]
    first, second, third = decide(wanted, [(ONE, 3, 1), (OTHER, 1, 5)], bought=())
    assert (first.outcome, [line.event_id for line in first.lines]) == (Outcome.SOLD_OUT, [OTHER])
    assert (second.outcome, second.version, second.available_tickets) == (Outcome.SOLD, 2, 1)
    assert third.outcome is Outcome.SOLD
    assert [(line.event_id, line.version, line.available_tickets) for line in third.lines] == [
        (ONE, 3, 0),
        (OTHER, 6, 0),
    ]


def test_a_basket_with_an_event_that_is_not_there_sells_nothing():
    """The missing one is named, and what is left of the others is as it was."""
    first, second = decide([basket(1, one=2, nowhere=1), wants(3, purchase=2)], [(ONE, 3, 1)], bought=())
    assert (first.outcome, first.cause) == (Outcome.FAILED, Cause.UNKNOWN_EVENT)
    assert str(NOWHERE) in first.detail
    assert second.success
