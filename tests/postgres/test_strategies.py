"""What happens when purchases meet: each order is played, and the server is asked who waits. Nothing sleeps."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from ticketlab.outcomes import Cause, Outcome, cause_of
from ticketlab.tickets import Database, EventRepository, RetryPolicy, strategies
from ticketlab.tickets.strategy import ConflictError, Isolation, strategy, transaction

SAFE = [each.name for each in strategies.registry().values() if each.safe]
CONTROLS = [each.name for each in strategies.registry().values() if not each.safe]

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")

WAIT_AT_COMMIT = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait();
"""


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
def buy_behind(rival, waiting):
    """A purchase that waits for the rival's row, `then` comes to the rival's connection; the purchase's result."""

    def buy(repository, event, quantity, *, then):
        with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
            purchase = threads.submit(repository.purchase_tickets, event.id, quantity, uuid4())
            waiting(other)
            then(other)
            return purchase.result(timeout=30)

    return buy


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
def test_a_buyer_who_waited_for_the_last_ticket_is_told_that_it_is_gone(database, an_event, buy_behind, name):
    """Another sells the last ticket and commits while this buyer waits for the row: he sees that, and sells nothing."""
    repository = EventRepository(database, name)
    event = an_event(repository, tickets=1)
    result = buy_behind(repository, event, 1, then=psycopg.Connection.commit)
    assert (result.outcome, result.available_tickets, result.version) == (Outcome.SOLD_OUT, 0, 2)
    assert tickets(database, event.id) == 1


@pytest.mark.parametrize("name", SAFE)
def test_a_buyer_who_waited_buys_what_another_gave_up(database, an_event, buy_behind, name):
    """The other's transaction is rolled back: the last ticket is this buyer's."""
    repository = EventRepository(database, name)
    event = an_event(repository, tickets=1)
    result = buy_behind(repository, event, 1, then=psycopg.Connection.rollback)
    assert (result.outcome, result.available_tickets, result.version) == (Outcome.SOLD, 0, 2)
    assert tickets(database, event.id) == 1


def test_optimistic_tries_again_when_the_version_moved(database, an_event, buy_behind):
    """A sale between its read and its write costs one more attempt, and the result says why."""
    repository = EventRepository(database, "optimistic")
    event = an_event(repository)
    result = buy_behind(repository, event, 2, then=psycopg.Connection.commit)
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, Cause.STALE_VERSION)
    assert (result.version, result.available_tickets) == (3, 7)


def test_optimistic_gives_up_after_its_last_try(database, an_event, buy_behind):
    """With no try left a moved version is a conflict, told with its cause, and nothing is sold."""
    once = replace(strategies.get("optimistic"), retry=RetryPolicy(tries=1))
    repository = EventRepository(database, once)
    event = an_event(repository)
    result = buy_behind(repository, event, 2, then=psycopg.Connection.commit)
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
    database, an_event, buy_behind, name, end_those_who_wait
):
    """The backend is ended while the one statement that commits is under way: nobody can tell from here."""
    result = _lose_the_connection(database, an_event, buy_behind, end_those_who_wait, name)
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)


def test_a_connection_lost_before_the_commit_is_a_failure(database, an_event, buy_behind, end_those_who_wait):
    """The backend is ended while it waits for the lock: what was not committed is surely rolled back."""
    result = _lose_the_connection(database, an_event, buy_behind, end_those_who_wait, "pessimistic")
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONNECTION)


@pytest.mark.parametrize("name", SAFE)
def test_a_connection_lost_in_the_commit_leaves_the_outcome_unknown(
    database, an_event, waiting, name, end_those_who_wait
):
    """The commit itself is under way when the backend is ended: whether it happened can not be known from here."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as other, ThreadPoolExecutor(1) as threads:
        # A constraint that is checked at commit, and waits there for a lock that the other one holds.
        other.execute(WAIT_AT_COMMIT)
        other.commit()
        other.execute("SELECT pg_advisory_lock(7)")
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        waiting(other)
        end_those_who_wait(other)
        result = purchase.result(timeout=30)
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)
    assert "may or may not have happened" in result.message


def test_a_refusal_is_decided_by_what_is_read_after_it(database):
    """Atomic: tickets that came back between the refusal and the reading are bought with another try."""
    atomic = strategies.get("atomic")

    class Between:
        """A connection after whose first statement tickets come back."""

        def __init__(self, connection):
            self._connection = connection

        def execute(self, *arguments):
            answer = self._connection.execute(*arguments)
            if repository.get(event.id).available_tickets == 0:
                with psycopg.connect(database.settings.url) as other:
                    other.execute("UPDATE events SET available_tickets = 5, version = version + 1")
            return answer

    interrupted = replace(atomic, purchase=lambda connection, request: atomic.purchase(Between(connection), request))
    repository = EventRepository(database, interrupted)
    event = repository.create(name="x", date=datetime(2026, 12, 1, tzinfo=UTC), total_tickets=5, available_tickets=0)
    result = repository.purchase_tickets(event.id, 2, uuid4())
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, Cause.STALE_VERSION)
    assert (result.version, result.available_tickets) == (3, 3)


@pytest.mark.parametrize("name", SAFE)
def test_the_stamp_of_a_buyer_who_waited_is_not_set_back(database, an_event, rival, waiting, name):
    """A purchase that began before another, and sold after it, has the later updated_at."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        waiting(other)
        stamp = "UPDATE events SET updated_at = clock_timestamp() WHERE id = %s RETURNING updated_at"
        (stamped,) = other.execute(stamp, [event.id]).fetchone()
        other.commit()
        assert purchase.result(timeout=30).success
    assert repository.get(event.id).updated_at > stamped


def test_no_connection_is_held_while_a_buyer_pauses(database, an_event):
    """A pool of one serves somebody else between two tries of a purchase."""
    seen = []

    @strategy(summary="conflicts once", safe=True, retry=RetryPolicy(tries=2, first_pause_s=0.01))
    def conflicting(connection, request):
        seen.append(small.pool.get_stats()["pool_available"])
        if len(seen) == 1:
            raise ConflictError(Cause.STALE_VERSION)
        return strategies.get("atomic").purchase(connection, request)

    class Pausing(RetryPolicy):
        """Looks at the pool when the pause begins."""

        def pause_s(self, attempt):
            with small.connection(timeout_s=5) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            return super().pause_s(attempt)

    with Database(database.settings.model_copy(update={"pool_size": 1})) as small:
        patient = replace(conflicting, retry=Pausing(tries=2, first_pause_s=0.01))
        repository = EventRepository(small, patient)
        result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.attempts, len(seen)) == (Outcome.SOLD, 2, 2)


def test_a_pool_that_is_empty_at_a_retry_is_a_failure_and_not_unavailable(database, an_event):
    """Something had been sent, and was rolled back: the result does not say that nothing was."""

    @strategy(summary="conflicts, and takes the last connection", safe=True, retry=RetryPolicy(tries=2))
    def greedy(connection, _request):
        taken.append(connection)
        raise ConflictError(Cause.DEADLOCK)

    class Taking(RetryPolicy):
        """Takes the pool's only connection for good when the pause begins."""

        def pause_s(self, _attempt):
            held.append(small.pool.getconn())
            return 0.0

    taken, held = [], []
    with Database(database.settings.model_copy(update={"pool_size": 1, "pool_acquire_timeout_s": 0.1})) as small:
        repository = EventRepository(small, replace(greedy, retry=Taking(tries=2)))
        result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
        small.pool.putconn(held[0])
    assert (result.outcome, result.cause, result.attempts) == (Outcome.FAILED, Cause.POOL_TIMEOUT, 2)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_a_conflict_that_the_server_tells_is_tried_again(database, an_event, sqlstate):
    """Serialization failure, deadlock, lock not available: the next try sells, and the result names the cause."""
    attempts = []

    @strategy(summary="fails once as told", safe=True, retry=RetryPolicy(tries=3, first_pause_s=0))
    def failing_once(connection, request):
        attempts.append(1)
        if len(attempts) == 1:
            with transaction(connection):
                connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{sqlstate}'; END $$")
        return strategies.get("atomic").purchase(connection, request)

    repository = EventRepository(database, failing_once)
    result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, cause_of(sqlstate))


@pytest.mark.parametrize("level", Isolation)
def test_a_transaction_runs_at_the_level_it_names(database, level):
    """BEGIN says the level, whatever the default of the server is."""
    with database.connection() as connection:
        connection.execute("SET default_transaction_isolation = 'serializable'")
        with transaction(connection, level):
            assert connection.execute("SHOW transaction_isolation").fetchone() == (level.lower(),)


def _lose_the_connection(database, an_event, buy_behind, end_those_who_wait, name):
    repository = EventRepository(database, name)
    event = an_event(repository)
    return buy_behind(repository, event, 1, then=end_those_who_wait)


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
