"""What happens when purchases meet: each order is played, and the server is asked who waits. Nothing sleeps."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, RetryPolicy, strategies
from ticketlab.tickets.strategy import strategy, transaction

SAFE = [each.name for each in strategies.registry().values() if each.safe]
CONTROLS = [each.name for each in strategies.registry().values() if not each.safe]

SELL_ONE = "UPDATE events SET available_tickets = available_tickets - 1, version = version + 1 WHERE id = %s"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


class Meeting:
    """A connection whose first statement, once answered, waits until the other buyer's is too."""

    def __init__(self, connection, barrier):
        self._connection = connection
        self._barrier = barrier
        self._statements = 0

    def execute(self, statement, parameters=None, **options):
        answer = self._connection.execute(statement, parameters, **options)
        self._statements += not isinstance(statement, bytes)  # BEGIN reads nothing
        if self._statements == 1 and self._barrier is not None:
            barrier, self._barrier = self._barrier, None
            barrier.wait(timeout=30)
        return answer

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.fixture
def rival(database):
    """Another buyer, who holds a transaction open in which one ticket of the event is sold."""

    @contextmanager
    def selling(event_id):
        with psycopg.connect(database.settings.url) as connection:
            connection.execute(SELL_ONE, [event_id])
            connection.execute("INSERT INTO tickets (event_id, purchase_id) VALUES (%s, %s)", [event_id, uuid4()])
            yield connection

    return selling


@pytest.fixture
def waiting(database, eventually):
    """Wait until a session waits for a lock of the given connection."""

    def wait(connection):
        with psycopg.connect(database.settings.url, autocommit=True) as observer:
            backend = [connection.info.backend_pid]
            eventually(lambda: observer.execute(WAITS, backend).fetchone() == (1,))

    return wait


def tickets(database, event_id):
    with psycopg.connect(database.settings.url) as connection:
        return connection.execute("SELECT count(*) FROM tickets WHERE event_id = %s", [event_id]).fetchone()[0]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_sells_the_last_ticket_twice(database, an_event, name):
    """Two buyers who both read before either writes are both told that they own the last ticket."""
    control, barrier = strategies.get(name), Barrier(2)
    meeting = replace(
        control, purchase=lambda connection, request: control.purchase(Meeting(connection, barrier), request)
    )
    repository = EventRepository(database, meeting)
    event = an_event(repository, tickets=1)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: repository.purchase_tickets(event.id, 1, uuid4()), range(2)))
    assert [result.outcome for result in results] == [Outcome.SOLD, Outcome.SOLD]
    assert tickets(database, event.id) == 2


@pytest.mark.parametrize("name", SAFE)
def test_a_buyer_who_waited_for_the_last_ticket_is_told_that_it_is_gone(database, an_event, rival, waiting, name):
    """Another sells the last ticket and commits while this buyer waits for the row: he sees that, and sells nothing."""
    repository = EventRepository(database, name)
    event = an_event(repository, tickets=1)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        waiting(other)
        other.commit()
        result = purchase.result(timeout=30)
    assert (result.outcome, result.available_tickets, result.version) == (Outcome.SOLD_OUT, 0, 2)
    assert tickets(database, event.id) == 1


@pytest.mark.parametrize("name", SAFE)
def test_a_buyer_who_waited_buys_what_another_gave_up(database, an_event, rival, waiting, name):
    """The other's transaction is rolled back: the last ticket is this buyer's."""
    repository = EventRepository(database, name)
    event = an_event(repository, tickets=1)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        waiting(other)
        other.rollback()
        result = purchase.result(timeout=30)
    assert (result.outcome, result.available_tickets, result.version) == (Outcome.SOLD, 0, 2)
    assert tickets(database, event.id) == 1


def test_optimistic_tries_again_when_the_version_moved(database, an_event, rival, waiting):
    """A sale between its read and its write costs one more attempt, and the result says why."""
    repository = EventRepository(database, "optimistic")
    event = an_event(repository)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 2, uuid4())
        waiting(other)
        other.commit()
        result = purchase.result(timeout=30)
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, Cause.STALE_VERSION)
    assert (result.version, result.available_tickets) == (3, 7)


def test_optimistic_gives_up_after_its_last_try(database, an_event, rival, waiting):
    """With no try left a moved version is a conflict, told with its cause, and nothing is sold."""
    once = replace(strategies.get("optimistic"), retry=RetryPolicy(tries=1))
    repository = EventRepository(database, once)
    event = an_event(repository)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 2, uuid4())
        waiting(other)
        other.commit()
        result = purchase.result(timeout=30)
    assert (result.outcome, result.attempts, result.cause) == (Outcome.CONFLICT, 1, Cause.STALE_VERSION)
    assert "Concurrent modification" in result.message
    assert tickets(database, event.id) == 1


@pytest.mark.parametrize("name", SAFE)
def test_a_failed_transaction_sells_nothing(database, an_event, name):
    """A constraint that refuses the tickets takes the stock back too; the result tells a failed transaction."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as connection:
        connection.execute("ALTER TABLE tickets ADD CONSTRAINT nobody CHECK (false)")
    result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONSTRAINT)
    assert "rolled back" in result.message
    assert repository.get(event.id) == event


@pytest.mark.parametrize("name", SAFE)
def test_a_missing_table_is_a_failed_transaction(database, an_event, name):
    """Any other error of the database is told as a failure, with what it said."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as connection:
        connection.execute("ALTER TABLE tickets RENAME TO elsewhere")
    result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TRANSACTION)
    assert 'relation "tickets" does not exist' in result.message
    assert repository.get(event.id) == event


@pytest.mark.parametrize("name", ["optimistic", "atomic"])
def test_a_connection_lost_in_the_committing_statement_leaves_the_outcome_unknown(
    database, an_event, rival, waiting, name
):
    """The backend is ended while the one statement that commits is under way: nobody can tell from here."""
    result = _lose_the_connection(database, an_event, rival, waiting, name)
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)


def test_a_connection_lost_before_the_commit_is_a_failure(database, an_event, rival, waiting):
    """The backend is ended while it waits for the lock: what was not committed is surely rolled back."""
    result = _lose_the_connection(database, an_event, rival, waiting, "pessimistic")
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONNECTION)


def _lose_the_connection(database, an_event, rival, waiting, name):
    repository = EventRepository(database, name)
    event = an_event(repository)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        waiting(other)
        with psycopg.connect(database.settings.url, autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
                [other.info.backend_pid],
            )
        return purchase.result(timeout=30)


def test_a_deadlock_is_a_conflict_that_may_be_tried_again(database, an_event):
    """Two transactions that lock two events in opposite order: PostgreSQL ends one, whose cause says so."""
    barrier = Barrier(2)
    lock = "SELECT 1 FROM events WHERE id = %s FOR UPDATE"

    @strategy(summary="locks a second event after the first", safe=True, retry=RetryPolicy(tries=1))
    def crossing(connection, request):
        other = next(each for each in events if each != request.event_id)
        with transaction(connection):
            connection.execute("SET LOCAL deadlock_timeout = '10ms'")
            connection.execute(lock, [request.event_id])
            barrier.wait(timeout=30)
            connection.execute(lock, [other])
            return strategies.get("pessimistic").purchase(_Inside(connection), request)

    repository = EventRepository(database, crossing)
    events = [an_event(repository).id, an_event(repository).id]
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda event_id: repository.purchase_tickets(event_id, 1, uuid4()), events))
    assert sorted(result.outcome for result in results) == [Outcome.CONFLICT, Outcome.SOLD]
    assert {result.cause for result in results} == {Cause.DEADLOCK, Cause.NONE}


class _Inside:
    """A connection that is in a transaction already: what begins one more is left out, and what ends it."""

    def __init__(self, connection):
        self._connection = connection

    def execute(self, statement, *parameters, **options):
        if not isinstance(statement, bytes):
            return self._connection.execute(statement, *parameters, **options)
        return None

    def commit(self):
        """The outer transaction commits."""
