"""A purchase id buys once: called again, in whatever way and however soon, it sells nothing more."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies
from ticketlab.tickets.purchase import ticket_ids

SAFE = [each.name for each in strategies.registry().values() if each.safe]
BASKETS = [name for name in SAFE if strategies.get(name).basket]
TRIES = 25

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture(params=SAFE)
def repository(request, database):
    """A repository of each safe strategy."""
    return EventRepository(database, request.param)


def same_tickets(first, again):
    """Whether the second result tells of what the first one sold: its tickets to the stamp, and that it is a repeat."""
    assert (first.outcome, again.outcome, again.cause) == (Outcome.SOLD, Outcome.SOLD, Cause.REPEATED)
    assert (sorted(again.tickets), again.quantity) == (sorted(first.tickets), first.quantity)
    assert (again.version, again.available_tickets, [*again.lines]) == (None, None, [])
    assert "purchased before" in again.message
    return True


def nothing_sold(first, again):
    """Whether the second call is told that it sold nothing, since its id owns the tickets of the first."""
    assert (first.outcome, again.outcome, again.cause) == (Outcome.SOLD, Outcome.FAILED, Cause.REPEATED)
    assert ([*again.tickets], again.version, again.available_tickets, [*again.lines]) == ([], None, None, [])
    for event_id, count in Counter(ticket.event_id for ticket in first.tickets).items():
        assert f"{count} of event {event_id}" in again.message
    assert again.message.startswith("Nothing was sold: ")
    return True


def test_a_call_that_is_made_again_is_told_of_the_same_tickets(repository, an_event, agreed):
    """Ids and stamps are those of the first call, and nothing more is sold."""
    event, purchase_id = an_event(repository), uuid4()
    first = repository.purchase_tickets(event.id, 3, purchase_id)
    assert same_tickets(first, repository.purchase_tickets(event.id, 3, purchase_id))
    agreed(repository, event, tickets=3)


def test_every_strategy_makes_the_same_ids(repository, an_event):
    """What Python says they are is what the SQL makes of them, to the number of two digits."""
    event, purchase_id = an_event(repository, tickets=12), uuid4()
    result = repository.purchase_tickets(event.id, 12, purchase_id)
    assert {ticket.id for ticket in result.tickets} == {*ticket_ids(purchase_id, 12)}


@pytest.mark.parametrize("name", BASKETS)
def test_a_basket_numbers_its_tickets_through(database, an_event, name):
    """Its ids are those of a purchase of as many, the first of them for the event of the smallest id."""
    repository, purchase_id = EventRepository(database, name), uuid4()
    first, second = sorted(an_event(repository).id for _ in range(2))
    result = repository.purchase_basket({second: 2, first: 9}, purchase_id)
    made = [ticket.id for event_id in (first, second) for ticket in result.tickets if ticket.event_id == event_id]
    ids = ticket_ids(purchase_id, 11)
    assert ({*made[:9]}, {*made[9:]}) == ({*ids[:9]}, {*ids[9:]})


def test_who_bought_the_last_tickets_is_not_told_that_they_are_gone(repository, an_event, agreed):
    """His own purchase left none, and the answer to it was lost: he has them all the same."""
    event, purchase_id = an_event(repository), uuid4()
    first = repository.purchase_tickets(event.id, 10, purchase_id)
    assert same_tickets(first, repository.purchase_tickets(event.id, 10, purchase_id))
    assert repository.purchase_tickets(event.id, 10, uuid4()).outcome is Outcome.SOLD_OUT
    agreed(repository, event, tickets=10)


@pytest.mark.parametrize("quantity", [1, 5, 2**31 - 1])
def test_another_quantity_under_the_same_id_is_no_sale(repository, an_event, agreed, quantity):
    """Fewer, more, or more than there are: the id owns what it bought first, and "sold" is said of nothing else."""
    event, purchase_id = an_event(repository), uuid4()
    first = repository.purchase_tickets(event.id, 3, purchase_id)
    assert nothing_sold(first, repository.purchase_tickets(event.id, quantity, purchase_id))
    agreed(repository, event, tickets=3)


def test_another_event_under_the_same_id_sells_nothing(repository, an_event, agreed):
    """One that has tickets, one that has none left, and one that does not exist."""
    event, another, empty, purchase_id = an_event(repository), an_event(repository), an_event(repository, 0), uuid4()
    first = repository.purchase_tickets(event.id, 3, purchase_id)
    for event_id in (another.id, empty.id, uuid4()):
        assert nothing_sold(first, repository.purchase_tickets(event_id, 3, purchase_id))
    agreed(repository, event, tickets=3)
    agreed(repository, another, tickets=0)


def test_an_id_that_bought_by_one_strategy_buys_nothing_by_any_other(repository, database, an_event, agreed):
    """What tells a repeat is the ticket's id, which all make in the same way."""
    event, purchase_id = an_event(repository), uuid4()
    first = repository.purchase_tickets(event.id, 2, purchase_id)
    for name in SAFE:
        assert same_tickets(first, EventRepository(database, name).purchase_tickets(event.id, 2, purchase_id)), name
    agreed(repository, event, tickets=2)


def test_an_id_that_bought_by_itself_buys_nothing_through_a_basket(repository, database, an_event, agreed):
    """Of the same event or of another one, by every strategy that sells baskets."""
    event, another, purchase_id = an_event(repository), an_event(repository), uuid4()
    first = repository.purchase_tickets(event.id, 2, purchase_id)
    for name in BASKETS:
        seller = EventRepository(database, name)
        for basket in ({another.id: 1}, {another.id: 2, event.id: 20}, {uuid4(): 1}):
            assert nothing_sold(first, seller.purchase_basket(basket, purchase_id)), name
        assert same_tickets(first, seller.purchase_basket({event.id: 2}, purchase_id)), name
    agreed(repository, event, tickets=2)
    agreed(repository, another, tickets=0)


@pytest.mark.parametrize("name", BASKETS)
def test_a_basket_buys_once(database, an_event, agreed, name):
    """Called again, in another order too, it has the same tickets; in part, or of other events, it sells nothing."""
    repository, purchase_id = EventRepository(database, name), uuid4()
    one, two, three = (an_event(repository, 5) for _ in range(3))
    first = repository.purchase_basket({one.id: 5, two.id: 2}, purchase_id)
    for basket in ({one.id: 5, two.id: 2}, {two.id: 2, one.id: 5}):
        assert same_tickets(first, repository.purchase_basket(basket, purchase_id))
    for basket in ({two.id: 2}, {one.id: 2, two.id: 5}, {three.id: 1}, {three.id: 9}):
        assert nothing_sold(first, repository.purchase_basket(basket, purchase_id))
    assert nothing_sold(first, repository.purchase_tickets(three.id, 1, purchase_id))
    for event, tickets in ((one, 5), (two, 2), (three, 0)):
        agreed(repository, event, tickets=tickets)


def test_of_two_calls_at_one_moment_the_second_waits_and_is_told_of_the_first(
    repository, elsewhere, an_event, meet, agreed
):
    """The first call has sold and not yet committed: both are told of the same tickets, sold once."""
    other, event, purchase_id = EventRepository(elsewhere, repository.strategy), an_event(repository), uuid4()
    wanted = (event.id, 2, purchase_id)
    first, second = meet((other, *wanted), (repository, *wanted), commit=True)
    assert same_tickets(first, second)
    agreed(repository, event, tickets=2)


def test_of_two_calls_for_the_last_tickets_both_have_them(repository, elsewhere, an_event, meet, agreed):
    """The second call finds nothing left, and is not told so: it was its own purchase that took them."""
    other, event, purchase_id = EventRepository(elsewhere, repository.strategy), an_event(repository), uuid4()
    repository.purchase_tickets(event.id, 8, uuid4())
    wanted = (event.id, 2, purchase_id)
    first, second = meet((other, *wanted), (repository, *wanted), commit=True)
    assert same_tickets(first, second)
    agreed(repository, event, tickets=10)


def test_of_two_calls_at_one_moment_the_second_sells_what_the_first_gave_up(
    repository, elsewhere, an_event, meet, agreed
):
    """The first call is rolled back: the id has bought nothing yet, and the second one buys."""
    other, event, purchase_id = EventRepository(elsewhere, repository.strategy), an_event(repository), uuid4()
    wanted = (event.id, 2, purchase_id)
    first, second = meet((other, *wanted), (repository, *wanted), commit=False)
    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.SOLD)
    assert second.cause is not Cause.REPEATED
    agreed(repository, event, tickets=2)


def test_of_two_calls_for_two_events_at_one_moment_one_sells(repository, elsewhere, an_event, meet, agreed):
    """No row of an event is common to them: they meet on the ticket's id alone."""
    other, purchase_id = EventRepository(elsewhere, repository.strategy), uuid4()
    event, another = an_event(repository), an_event(repository)
    first, second = meet((other, event.id, 2, purchase_id), (repository, another.id, 3, purchase_id), commit=True)
    assert nothing_sold(first, second)
    agreed(repository, event, tickets=2)
    agreed(repository, another, tickets=0)


def test_calls_made_twice_at_once_sell_once(repository, an_event, agreed):
    """Whoever comes first: one of both sells, the other is told of it."""
    event, barrier = an_event(repository, tickets=TRIES * 2), Barrier(2)

    def buy(purchase_id):
        barrier.wait(timeout=30)
        return repository.purchase_tickets(event.id, 2, purchase_id)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(TRIES):
            both = threads.map(buy, [uuid4()] * 2)
            repeated, sold = sorted(both, key=lambda result: result.cause is not Cause.REPEATED)
            assert sold.cause is not Cause.REPEATED
            assert same_tickets(sold, repeated)
    agreed(repository, event, tickets=TRIES * 2)
