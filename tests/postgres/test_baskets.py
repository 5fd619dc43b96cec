"""Tickets of several events in one purchase: all of them or none, and nobody waits in a circle."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, RetryPolicy, strategies
from ticketlab.tickets.purchase import BasketLine
from ticketlab.tickets.strategies import basket_unordered

REGISTRY = strategies.registry().values()
SELLING = [each.name for each in REGISTRY if each.basket]
SAFE = [each.name for each in REGISTRY if each.basket and each.safe]
WITHOUT = [each.name for each in REGISTRY if not each.basket]
BUYERS, EVENTS, BASKETS = 16, 5, 300

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture
def events(database, an_event):
    """Three events of ten tickets, none in the order of their ids."""
    repository = EventRepository(database)
    first, second, third = sorted((an_event(repository) for _ in range(3)), key=lambda event: event.id)
    return second, third, first


def test_they_are_sold_by_these():
    """Five safe strategies sell baskets, and a control does."""
    assert {*SAFE} == {"atomic", "coalesced", "no_key_update", "pessimistic", "serializable"}
    assert {*SELLING} == {*SAFE, "basket_unordered"}


@pytest.mark.parametrize("name", SELLING)
def test_a_basket_is_sold_as_it_was_told(database, events, books, name):
    """Of each event as many as were wanted, in lines of the buyer's order; stock and version are those of the rows."""
    repository, purchase_id = EventRepository(database, name), uuid4()
    wanted = dict(zip((event.id for event in events), (3, 1, 10), strict=True))
    result = repository.purchase_basket(wanted, str(purchase_id))
    assert (result.outcome, result.cause, result.quantity, result.attempts) == (Outcome.SOLD, Cause.NONE, 14, 1)
    assert (result.version, result.available_tickets) == (None, None)
    assert result.message == "14 tickets purchased."
    assert list(result.lines) == [
        BasketLine(event_id, quantity, version=2, available_tickets=10 - quantity)
        for event_id, quantity in wanted.items()
    ]
    assert {event_id: books(event_id) for event_id in wanted} == {
        event_id: (10 - quantity, 2, quantity) for event_id, quantity in wanted.items()
    }
    assert sorted(result.tickets) == sorted(repository.tickets_of(purchase_id))
    assert len({ticket.id for ticket in result.tickets}) == 14


@pytest.mark.parametrize("name", SELLING)
def test_a_basket_that_can_not_be_met_sells_nothing_of_it(database, events, books, name):
    """Two of three events have too few: those are told, with what they have left, and all stay as they were."""
    repository = EventRepository(database, name)
    one, two, three = (event.id for event in events)
    result = repository.purchase_basket({one: 11, two: 10, three: 2**31 - 1}, uuid4())
    assert (result.outcome, result.cause) == (Outcome.SOLD_OUT, Cause.INSUFFICIENT)
    assert list(result.lines) == [BasketLine(one, 11, 1, 10), BasketLine(three, 2**31 - 1, 1, 10)]
    assert not result.tickets
    assert result.message == (
        f"Not enough tickets available: 11 of event {one}: 10 left; 2147483647 of event {three}: 10 left."
    )
    assert [books(event.id) for event in events] == [(10, 1, 0)] * 3


@pytest.mark.parametrize("name", SELLING)
def test_a_basket_with_an_unknown_event_sells_nothing_of_it(database, events, books, name):
    """The events that are not there are named, all of them; what the others have left does not matter."""
    unknown = sorted([uuid4(), uuid4()])
    wanted = {events[0].id: 1, unknown[1]: 1, unknown[0]: 1, events[1].id: 11}
    result = EventRepository(database, name).purchase_basket(wanted, uuid4())
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.UNKNOWN_EVENT)
    assert f"there is no event {unknown[0]}, no event {unknown[1]}" in result.message
    assert not result.lines
    assert [books(event.id) for event in events] == [(10, 1, 0)] * 3


@pytest.mark.parametrize("name", SELLING)
def test_a_basket_of_one_event_is_a_purchase(database, events, books, name):
    """The last ticket of a single event is sold through a basket, and then there is none."""
    repository = EventRepository(database, name)
    assert repository.purchase_basket({events[0].id: 10}, uuid4()).success
    assert repository.purchase_basket({events[0].id: 1}, uuid4()).outcome is Outcome.SOLD_OUT
    assert books(events[0].id) == (0, 2, 10)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_strategy_without_baskets_says_so_before_anything_is_sent(database, events, books, name):
    """It is the caller's mistake, told as such even where no connection could be had."""
    repository = EventRepository(database, name)
    held = [database.pool.getconn() for _ in range(database.settings.pool_size)]
    try:
        with pytest.raises(InvalidInputError, match=rf"{name} sells one event at a time"):
            repository.purchase_basket({events[0].id: 1}, uuid4())
    finally:
        for connection in held:
            database.pool.putconn(connection)
    assert books(events[0].id) == (10, 1, 0)


@pytest.mark.parametrize(
    ("quantities", "purchase_id", "words"),
    [
        ({}, uuid4(), "at least one event"),
        (None, uuid4(), "quantities must map each event"),
        ([(uuid4(), 1)], uuid4(), "quantities must map each event"),
        ({uuid4(): 0}, uuid4(), "quantity must be from 1"),
        ({uuid4(): 2**31}, uuid4(), "quantity must be from 1"),
        ({uuid4(): True}, uuid4(), "quantity must be an integer"),
        ({"no uuid": 1}, uuid4(), "event_id must be a UUID"),
        ({uuid4(): 1}, "no uuid", "purchase_id must be a UUID"),
        ({UUID(int=7): 1, str(UUID(int=7)): 1}, uuid4(), "name each event only once"),
    ],
)
def test_a_basket_that_can_not_be_is_refused(database, quantities, purchase_id, words):
    """Each wrong value gets one clear error."""
    with pytest.raises(InvalidInputError, match=words):
        EventRepository(database).purchase_basket(quantities, purchase_id)


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("name", SAFE)
def test_a_basket_waits_for_whoever_holds_one_of_its_events(
    database, elsewhere, events, gate, eventually, books, name, commit
):
    """Another has the last tickets of one event in hand: the basket is refused when he commits, else sold."""
    repository, other = EventRepository(database, name), EventRepository(elsewhere, "pessimistic")
    one, two, three = (event.id for event in events)
    gate.shut()
    with ThreadPoolExecutor(2) as threads:
        try:
            holding = threads.submit(other.purchase_tickets, three, 10, uuid4())
            backend = gate.held()
            buying = threads.submit(repository.purchase_basket, {one: 2, two: 2, three: 2}, uuid4())
            eventually(lambda: gate.waiting_for(backend))
            if not commit:
                gate.cancel(backend)
                holding.result(timeout=30)
        finally:
            gate.open()
        result = buying.result(timeout=30)
    if commit:
        assert (result.outcome, list(result.lines)) == (Outcome.SOLD_OUT, [BasketLine(three, 2, 2, 0)])
        assert [books(each) for each in (one, two, three)] == [(10, 1, 0), (10, 1, 0), (0, 2, 10)]
    else:
        assert result.outcome is Outcome.SOLD
        assert [books(each) for each in (one, two, three)] == [(8, 2, 2)] * 3


@pytest.mark.parametrize("name", SAFE)
def test_baskets_in_any_order_neither_deadlock_nor_oversell(database, an_event, agreed, name):
    """Many buyers name the same events in random order: all are answered, and the stock is what was told."""
    strategy = strategies.get(name)
    # Who has to try again does not give up, however busy the machine is that it is overtaken on.
    patient = replace(strategy.retry, max_attempts=max(strategy.retry.max_attempts, BASKETS), deadline_s=None)
    repository = EventRepository(database, replace(strategy, retry=patient))
    events = [an_event(repository, tickets=BASKETS) for _ in range(EVENTS)]
    generator = random.Random(7)
    wanted = [
        {event.id: generator.randint(1, 3) for event in generator.sample(events, generator.randint(2, EVENTS))}
        for _ in range(BASKETS)
    ]
    with ThreadPoolExecutor(BUYERS) as threads:
        results = list(threads.map(lambda each: repository.purchase_basket(each, uuid4()), wanted))
    assert not [result for result in results if Cause.DEADLOCK in {result.cause, *result.retries}]
    assert {result.outcome for result in results} == {Outcome.SOLD, Outcome.SOLD_OUT}
    for event in events:
        sold = sum(each.get(event.id, 0) for each, result in zip(wanted, results, strict=True) if result.success)
        assert sold > BASKETS / 2
        agreed(repository, event, tickets=sold)


class _Crossing:
    """A connection that waits, after the first row that it locked, until the other buyer has locked one too."""

    def __init__(self, connection, barrier):
        self._connection = connection
        self._barrier = barrier

    def execute(self, statement, *parameters, **options):
        answer = self._connection.execute(statement, *parameters, **options)
        if statement == basket_unordered.LOCK and self._barrier is not None:
            barrier, self._barrier = self._barrier, None
            barrier.wait(timeout=30)
        return answer

    def __getattr__(self, name):
        return getattr(self._connection, name)


def test_the_control_for_baskets_deadlocks(database, events, books):
    """Two buyers who name two events in opposite order wait for each other: PostgreSQL ends one of them."""
    control, barrier = strategies.get("basket_unordered"), Barrier(2)

    def crossing(connection, wanted):
        connection.execute("SET deadlock_timeout = '10ms'")
        try:
            return control.basket(_Crossing(connection, barrier), wanted)
        finally:
            connection.execute("RESET deadlock_timeout")

    repository = EventRepository(database, replace(control, basket=crossing, retry=RetryPolicy(max_attempts=1)))
    one, two, _ = (event.id for event in events)
    with ThreadPoolExecutor(2) as threads:
        results = list(
            threads.map(lambda each: repository.purchase_basket(each, uuid4()), [{one: 1, two: 1}, {two: 1, one: 1}])
        )
    assert sorted(result.outcome for result in results) == [Outcome.CONFLICT, Outcome.SOLD]
    assert {result.cause for result in results} == {Cause.DEADLOCK, Cause.NONE}
    assert [books(one), books(two)] == [(9, 2, 1)] * 2
