"""Strategies that count stock beside the event's row: what lies there is found, and comes back when it is settled."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from ticketlab.errors import InvalidInputError, NotFoundError, StaleVersionError
from ticketlab.outcomes import MAX_INTEGER, Outcome
from ticketlab.servers import scratch_database
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository, migrations, strategies
from ticketlab.tickets.strategies.skip_locked import BLOCK

BESIDE = [each.name for each in strategies.registry().values() if each.reconcile_stock]
STOCK_BESIDE = """
SELECT (SELECT count(*) FROM free_seats WHERE event_id = %(event)s)
     + (SELECT coalesce(sum(available), 0) FROM stock_shards WHERE event_id = %(event)s)
"""

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture(params=BESIDE)
def repository(request, database):
    """A repository of each strategy that counts stock beside the row."""
    return EventRepository(database, request.param)


@pytest.fixture
def laid_out(an_event):
    """An event of which one ticket was sold, so that the rest of its stock lies beside its row."""

    def make(repository, tickets=10):
        event = an_event(repository, tickets=tickets)
        result = repository.purchase_tickets(event.id, 1, uuid4())
        assert (result.outcome, result.version, result.available_tickets) == (Outcome.SOLD, None, None)
        return event

    return make


@pytest.fixture
def beside(database):
    """What of an event's stock lies beside its row."""

    def read(event):
        with psycopg.connect(database.settings.url) as connection:
            return connection.execute(STOCK_BESIDE, {"event": event.id}).fetchone()[0]

    return read


def test_there_are_two_of_them():
    """Seats and shards."""
    assert BESIDE == ["sharded", "skip_locked"]


def test_settling_puts_back_what_is_not_sold(repository, laid_out, books, beside):
    """The row then says what the tickets leave, under a new version; settling once more changes nothing."""
    event = laid_out(repository)
    assert (books(event.id), beside(event)) == ((0, 2, 1), 9)
    repository.settle([event.id])
    assert (books(event.id), beside(event)) == ((9, 3, 1), 0)
    repository.settle([event.id])
    assert books(event.id) == (9, 3, 1)


def test_settling_leaves_other_events_alone(repository, laid_out, books, beside):
    """Only what was asked for is settled; an event that does not exist is none."""
    event, other = laid_out(repository), laid_out(repository)
    repository.settle([event.id, uuid4()])
    assert (books(event.id), beside(other)) == ((9, 3, 1), 9)
    repository.settle([])
    assert (books(other.id), beside(other)) == ((0, 2, 1), 9)


def test_the_last_tickets_are_found_wherever_they_lie(repository, an_event, books, agreed):
    """Sold one by one and by several, to the very last; then the refusal says that none is left."""
    event = an_event(repository, tickets=60)
    for quantity in (1, 7, 20, 2, *[1] * 29):
        assert repository.purchase_tickets(event.id, quantity, uuid4()).success
    few = repository.purchase_tickets(event.id, 2, uuid4())
    assert (few.outcome, few.available_tickets) == (Outcome.SOLD_OUT, 1)
    assert repository.purchase_tickets(event.id, 1, uuid4()).success
    none = repository.purchase_tickets(event.id, 1, uuid4())
    assert (none.outcome, none.available_tickets, none.version) == (Outcome.SOLD_OUT, 0, books(event.id)[1])
    agreed(repository, event, tickets=60)


@pytest.mark.parametrize("commit", [True, False])
def test_seats_in_anothers_hands_are_neither_gone_nor_free(repository, elsewhere, laid_out, meet, agreed, commit):
    """Of the last two one is held by another: who wants both waits, and has them if he gives it back."""
    other, event = EventRepository(elsewhere, repository.strategy), laid_out(repository, tickets=3)
    first, second = meet((other, event.id, 1, uuid4()), (repository, event.id, 2, uuid4()), commit=commit)
    assert first.success is commit
    if commit:
        assert (second.outcome, second.available_tickets) == (Outcome.SOLD_OUT, 1)
    else:
        assert second.outcome is Outcome.SOLD
    agreed(repository, event, tickets=2 if commit else 3)


def test_seats_that_another_holds_do_not_keep_a_buyer_waiting(database, elsewhere, laid_out, gate, agreed):
    """What SKIP LOCKED is for: another stands at his commit, and this buyer takes other seats meanwhile."""
    repository, other = EventRepository(database, "skip_locked"), EventRepository(elsewhere, "skip_locked")
    event = laid_out(repository)
    gate.shut()
    with ThreadPoolExecutor(2) as threads:
        purchases = [threads.submit(each.purchase_tickets, event.id, 2, uuid4()) for each in (repository, other)]
        gate.held(2)
        gate.open()
        assert all(purchase.result(timeout=30).success for purchase in purchases)
    agreed(repository, event, tickets=5)


@pytest.mark.parametrize("commit", [True, False])
def test_settling_while_a_purchase_is_under_way_loses_nothing(
    repository, elsewhere, laid_out, gate, eventually, beside, agreed, commit
):
    """Whether that purchase is then committed or rolled back: no seat comes back that was sold, and none is lost."""
    other, event = EventRepository(elsewhere, repository.strategy), laid_out(repository)
    gate.shut()
    with ThreadPoolExecutor(2) as threads:
        try:
            purchase = threads.submit(other.purchase_tickets, event.id, 1, uuid4())
            backend = gate.held()
            settling = threads.submit(repository.settle, [event.id])
            eventually(lambda: settling.done() or gate.waiting_for(backend))
            if not commit:
                gate.cancel(backend)
                purchase.result(timeout=30)
        finally:
            gate.open()
        settling.result(timeout=30)
        assert purchase.result(timeout=30).success is commit
    agreed(repository, event, tickets=2 if commit else 1)
    assert beside(event) == 0


@pytest.mark.parametrize(("name", "laid"), [("skip_locked", BLOCK), ("sharded", BLOCK * 3)])
def test_first_purchases_at_one_moment_lay_stock_out_once(
    database, elsewhere, an_event, meet, books, beside, name, laid
):
    """The second waits for the first one's block, or counters, and lays out none of its own."""
    repository, other = EventRepository(database, name), EventRepository(elsewhere, name)
    event = an_event(repository, tickets=BLOCK * 3)
    meet((other, event.id, 1, uuid4()), (repository, event.id, 1, uuid4()), commit=True)
    assert (books(event.id), beside(event)) == ((BLOCK * 3 - laid, 2, 2), laid - 2)


def test_more_seats_than_there_are_are_not_laid_out_in_vain(database, laid_out):
    """Who asks for too many is refused by a count: a large stock is not made into rows for him."""
    repository = EventRepository(database, "skip_locked")
    event = laid_out(repository, tickets=BLOCK * 5)
    with psycopg.connect(database.settings.url, autocommit=True) as connection:
        numbers = "SELECT last_value FROM free_seats_id_seq"  # not even a rollback takes a number back
        before = connection.execute(numbers).fetchone()
        result = repository.purchase_tickets(event.id, BLOCK * 5, uuid4())
        assert (result.outcome, result.available_tickets) == (Outcome.SOLD_OUT, BLOCK * 5 - 1)
        assert connection.execute(numbers).fetchone() == before


@pytest.mark.parametrize("settling", [False, True])
def test_who_waits_for_the_event_holds_none_of_its_stock(repository, database, laid_out, gate, eventually, settling):
    """Nor does who settles it: another, who has the event, may come to wait for a seat or a counter; a circle."""
    event = laid_out(repository, tickets=100)
    hold = "SELECT 1 FROM events WHERE id = %s FOR UPDATE"
    with psycopg.connect(database.settings.url) as other, ThreadPoolExecutor(1) as threads:
        other.execute(hold, [event.id])
        ask = (repository.settle, [event.id]) if settling else (repository.purchase_tickets, event.id, 1, uuid4())
        waiting = threads.submit(*ask)
        eventually(lambda: gate.waiting_for(other.info.backend_pid))
        for table in ("free_seats", "stock_shards"):
            other.execute(f"SELECT 1 FROM {table} WHERE event_id = %s FOR UPDATE NOWAIT", [event.id])
        other.rollback()
        waiting.result(timeout=30)


@pytest.mark.parametrize("strategy", ["atomic", "pessimistic", "orm_optimistic", "sharded", "skip_locked"])
def test_beside_another_strategy_nothing_is_oversold(repository, database, an_event, agreed, strategy):
    """Both sell one event at once: neither sells what the other has, and what is left is sold once it is settled."""
    both = repository, EventRepository(database, strategy)
    event, barrier = an_event(repository, tickets=60), Barrier(8)

    def buy(number):
        barrier.wait(timeout=30)
        return [both[number % 2].purchase_tickets(event.id, 1 + number % 3, uuid4()) for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        results = [each for answers in threads.map(buy, range(8)) for each in answers]
    told = sum(len(each.tickets) for each in results)
    for each in both:
        each.settle([event.id])
    agreed(repository, event, tickets=told)
    while repository.purchase_tickets(event.id, 1, uuid4()).success:
        told += 1
    assert told == 60
    agreed(repository, event, tickets=60)


class TestTheRepository:
    def test_it_gets_the_stock_that_is_for_sale(self, repository, laid_out):
        """What lies beside the row is in it when the event is read; and again after the next sale."""
        event = laid_out(repository)
        assert repository.get(event.id).available_tickets == 9
        assert repository.purchase_tickets(event.id, 4, uuid4()).success
        assert repository.get(event.id).available_tickets == 5

    def test_it_lists_the_stock_that_is_for_sale(self, database, repository, laid_out):
        """Every event of the page, with one connection: a list does not wait for a second one."""
        with Database(database.settings.model_copy(update={"pool_size": 1, "pool_acquire_timeout_s": 2})) as small:
            one = EventRepository(small, repository.strategy)
            events = {laid_out(one).id for _ in range(3)}
            found = {event.id: event.available_tickets for event in one.list(limit=10_000)}
        assert {event_id: found[event_id] for event_id in events} == dict.fromkeys(events, 9)

    def test_it_updates_the_event_that_was_read(self, repository, laid_out, agreed):
        """Its version holds though stock was beside the row; a sale in between that lays out anew makes it stale."""
        event = repository.get(laid_out(repository).id)
        assert repository.update(event.id, event.version, name="renamed").available_tickets == 9
        event = repository.get(event.id)
        assert repository.purchase_tickets(event.id, 1, uuid4()).success
        with pytest.raises(StaleVersionError):
            repository.update(event.id, event.version, available_tickets=9)
        agreed(repository, event, tickets=2)

    def test_fewer_seats_than_are_for_sale_are_refused(self, repository, laid_out):
        """The constraint compares with what lies beside the row too."""
        event = repository.get(laid_out(repository).id)
        assert repository.purchase_tickets(event.id, 1, uuid4()).success
        event = repository.get(event.id)
        with pytest.raises(InvalidInputError):
            repository.update(event.id, event.version, total_tickets=7)
        assert repository.update(event.id, event.version, total_tickets=8).available_tickets == 8

    def test_it_deletes_what_lies_beside_the_row(self, repository, laid_out, beside):
        """An event takes its seats and counters with it."""
        event = laid_out(repository)
        repository.delete(event.id)
        assert beside(event) == 0
        with pytest.raises(NotFoundError):
            repository.get(event.id)


def test_the_largest_stock_can_be_sold_and_settled(repository, laid_out, books):
    """2,147,483,647 seats: no number in between is too large for its column."""
    event = laid_out(repository, tickets=MAX_INTEGER)
    assert repository.purchase_tickets(event.id, 3, uuid4()).success
    repository.settle([event.id])
    assert books(event.id)[::2] == (MAX_INTEGER - 4, 4)
    refused = repository.purchase_tickets(event.id, MAX_INTEGER, uuid4())
    assert (refused.outcome, refused.available_tickets) == (Outcome.SOLD_OUT, MAX_INTEGER - 4)


def test_the_migration_is_taken_back_with_all_stock_on_the_rows(server, an_event):
    """What lies beside is added to each event's row, and nothing to those that have nothing there."""
    with scratch_database(server.url) as url, Database(Settings.from_url(url)) as database:
        migrations.upgrade(database)
        events = [an_event(EventRepository(database)) for _ in range(4)]
        for names, event in zip([["skip_locked"], ["sharded"], BESIDE, []], events, strict=True):
            for name in names:
                # The second lays out what was brought to the row for it: stock lies in seats and shards at once.
                with psycopg.connect(url) as connection:
                    add = (
                        "UPDATE events SET available_tickets = available_tickets + 1, total_tickets = total_tickets + 1"
                    )
                    connection.execute(f"{add} WHERE id = %s", [event.id])
                assert EventRepository(database, name).purchase_tickets(event.id, 1, uuid4()).success
        assert migrations.revert(database) == "0002"
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT id, available_tickets FROM events").fetchall()
    assert dict(rows) == {event.id: 10 for event in events}
