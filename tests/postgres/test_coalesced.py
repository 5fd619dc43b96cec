"""Purchases gathered into one transaction: what each of them is told, on a real server. Nothing sleeps."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from batches import ids, results, run, sales, told

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies
from ticketlab.tickets.batch_queue import BatchQueue
from ticketlab.tickets.purchase import ticket_ids
from ticketlab.tickets.strategies import coalesced

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")

LOCK_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def repository(single):
    return EventRepository(single, "coalesced")


def test_those_who_gather_behind_a_lock_are_sold_in_one_transaction(database, an_event, rival, waiting, eventually):
    """One waits for the row, three gather behind him: one transaction, versions of their own, in order, no gap."""
    repository = EventRepository(database, "coalesced")
    event, wanted = an_event(repository), list(zip((1, 3, 1, 2), ids(4), strict=True))
    queues = database.get_or_create(coalesced._gatherer)._queues
    with ThreadPoolExecutor(4) as threads, rival(event.id) as other:
        purchases = [threads.submit(repository.purchase_tickets, event.id, *wanted[0])]
        waiting(other)
        for each in wanted[1:]:
            purchases.append(threads.submit(repository.purchase_tickets, event.id, *each))
            eventually(lambda: len(queues[event.id]) == len(purchases) - 1)
        other.rollback()
        found = results(purchases)
    assert told(found) == [(Outcome.SOLD, 2, 9), (Outcome.SOLD, 3, 6), (Outcome.SOLD, 4, 5), (Outcome.SOLD, 5, 3)]
    assert [sorted(result.tickets) for result in found] == [sorted(repository.tickets_of(each)) for _, each in wanted]
    transactions = run(database, "SELECT xmin::text, count(*) FROM tickets GROUP BY 1 ORDER BY 2").fetchall()
    assert [count for _, count in transactions] == [1, 6]
    after = repository.get(event.id)
    assert (after.version, after.available_tickets) == (5, 3)


def test_one_who_asks_for_too_many_is_refused_and_the_next_still_fits(database, repository, an_event, buy_together):
    """Inside a batch it is first come, first served, and a refusal has the state that it saw."""
    event, (a, b, c, d) = an_event(repository), ids(4)
    found = buy_together(event, (4, a), (7, b), (6, c), (1, d))
    assert told(found) == [
        (Outcome.SOLD, 2, 6),
        (Outcome.SOLD_OUT, 2, 6),
        (Outcome.SOLD, 3, 0),
        (Outcome.SOLD_OUT, 3, 0),
    ]
    assert sales(database) == {a: 4, c: 6}


def test_an_absurd_quantity_is_refused_alone(database, repository, an_event, buy_together):
    """Two thousand million tickets are not laid out to find that there are ten; the others are sold."""
    event, (a, b, c) = an_event(repository), ids(3)
    assert [each.outcome for each in buy_together(event, (2, a), (2**31 - 1, b), (1, c))] == [
        Outcome.SOLD,
        Outcome.SOLD_OUT,
        Outcome.SOLD,
    ]
    assert sales(database) == {a: 2, c: 1}


def test_an_id_buys_once_in_a_batch(database, repository, an_event, buy_together, served):
    """Called again for the same tickets it has those of the first call; for another quantity nothing is sold."""
    event, (a, b) = an_event(repository), ids(2)
    first, again, more, other = buy_together(event, (2, a), (2, a), (3, a), (1, b))
    repeated = [(each.outcome, each.cause) for each in (first, again, more, other)]
    assert repeated == [
        (Outcome.SOLD, Cause.NONE),
        (Outcome.SOLD, Cause.REPEATED),
        (Outcome.FAILED, Cause.REPEATED),
        (Outcome.SOLD, Cause.NONE),
    ]
    assert (sorted(again.tickets), again.quantity) == (sorted(first.tickets), 2)
    assert (more.tickets, more.quantity) == ((), 3)
    assert (other.version, other.available_tickets) == (3, 7)
    assert sales(database) == {a: 2, b: 1}
    assert served == [4]


def test_an_id_that_buys_elsewhere_at_the_same_moment_buys_once(database, repository, an_event, together, waiting):
    """Another process sells under the id, of another event, and commits while the batch waits for its ticket."""
    event, elsewhere, (a, b) = an_event(repository), an_event(repository), ids(2)
    (ticket,) = ticket_ids(a, 1)
    with psycopg.connect(database.settings.url) as other:
        insert = "INSERT INTO tickets (id, event_id, purchase_id) VALUES (%s, %s, %s)"
        other.execute(insert, [ticket, elsewhere.id, a])
        with together(event, (2, a), (1, b)) as purchases:
            waiting(other)
            other.commit()
            repeated, sold = results(purchases)
    assert (repeated.outcome, repeated.cause, repeated.tickets) == (Outcome.FAILED, Cause.REPEATED, ())
    assert f"1 of event {elsewhere.id}" in repeated.detail
    assert told([sold]) == [(Outcome.SOLD, 2, 9)]
    assert sales(database) == {a: 1, b: 1}


def test_an_id_in_two_processes_at_the_same_moment_buys_once(database, single, an_event, rival, eventually):
    """Two gatherers wait for the row with the same id: one sells, the other has the same tickets."""
    both = [EventRepository(each, "coalesced") for each in (database, single)]
    event, purchase_id = an_event(both[0]), uuid4()
    with ThreadPoolExecutor(2) as threads, rival(event.id) as other:
        purchases = [threads.submit(each.purchase_tickets, event.id, 2, purchase_id) for each in both]
        eventually(lambda: run(database, LOCK_WAITS).fetchone() == (2,))
        other.rollback()
        first, second = sorted(results(purchases), key=lambda result: result.cause)
    assert (first.cause, second.cause) == (Cause.NONE, Cause.REPEATED)
    assert sorted(first.tickets) == sorted(second.tickets)
    assert sales(database) == {purchase_id: 2}


def test_a_closing_database_answers_everyone(single, repository, an_event, rival, waiting, eventually):
    """The batch under way ends as it ends; whoever waits behind it is told at once that there is no connection."""
    event = an_event(repository)
    gatherer = single.get_or_create(coalesced._gatherer)
    with ThreadPoolExecutor(4) as threads, rival(event.id) as other:
        purchases = [threads.submit(repository.purchase_tickets, event.id, 1, uuid4())]
        waiting(other)
        purchases += [threads.submit(repository.purchase_tickets, event.id, 1, uuid4()) for _ in range(3)]
        eventually(lambda: len(gatherer._queues[event.id]) == 3)
        single.close()
        other.rollback()
        found = results(purchases)
    assert [(each.outcome, each.cause) for each in found] == [
        (Outcome.SOLD, Cause.NONE),
        *[(Outcome.UNAVAILABLE, Cause.POOL_TIMEOUT)] * 3,
    ]
    assert gatherer._queues == {}


def test_a_full_queue_is_unavailable_at_once(database, an_event, rival, waiting, eventually):
    """One too many is told why nothing was sent for him, while the others wait; and they are sold."""
    gatherer = BatchQueue(database, coalesced.serve, longest_queue=1)
    short = replace(strategies.get("coalesced"), resource=lambda _database: nullcontext(gatherer))
    repository = EventRepository(database, short)
    event = an_event(repository)
    with ThreadPoolExecutor(2) as threads, rival(event.id) as other:
        purchases = [threads.submit(repository.purchase_tickets, event.id, 1, uuid4())]
        waiting(other)
        purchases.append(threads.submit(repository.purchase_tickets, event.id, 1, uuid4()))
        eventually(lambda: len(gatherer._queues[event.id]) == 1)
        refused = repository.purchase_tickets(event.id, 1, uuid4())
        other.rollback()
        assert told(results(purchases)) == [(Outcome.SOLD, 2, 9), (Outcome.SOLD, 3, 8)]
    assert (refused.outcome, refused.cause) == (Outcome.UNAVAILABLE, Cause.QUEUE_FULL)
    assert f"1 purchases already wait for event {event.id}" in refused.message
