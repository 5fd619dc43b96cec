"""Which failures are worth another try, how long a buyer tries, and what he is told of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from ticketlab.outcomes import Cause, Outcome, cause_of
from ticketlab.tickets import Database, EventRepository, RetryPolicy, strategies
from ticketlab.tickets import execution as attempts_module
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategies import pessimistic
from ticketlab.tickets.strategy import ConflictError, Isolation, strategy, transaction

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")

LOSING = {
    "optimistic": Cause.STALE_VERSION,
    "orm_optimistic": Cause.STALE_VERSION,
    "repeatable_read": Cause.CONCURRENT_UPDATE,
    "serializable": Cause.CONCURRENT_UPDATE,
}
"""Why the second of two buyers, who both read before either wrote, has to try again."""


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.mark.parametrize(("name", "cause"), LOSING.items())
def test_who_comes_second_tries_again_and_is_told_why(database, elsewhere, an_event, meet, name, cause):
    """A sale between his read and his write costs one more attempt; the next one sees what was left to him."""
    repository, other = EventRepository(database, name), EventRepository(elsewhere, name)
    event = an_event(repository)
    _, result = meet((other, event.id, 1, uuid4()), (repository, event.id, 2, uuid4()), commit=True)
    assert (result.outcome, result.retries, result.cause) == (Outcome.SOLD, [cause], cause)
    assert (result.version, result.available_tickets) == (3, 7)


@pytest.mark.parametrize(("name", "cause"), LOSING.items())
def test_who_has_no_try_left_gives_up(database, elsewhere, an_event, meet, books, name, cause):
    """It is a conflict, told with its cause, and nothing is sold."""
    once = replace(strategies.get(name), retry=RetryPolicy(max_attempts=1))
    repository, other = EventRepository(database, once), EventRepository(elsewhere, name)
    event = an_event(repository)
    _, result = meet((other, event.id, 1, uuid4()), (repository, event.id, 2, uuid4()), commit=True)
    assert (result.outcome, result.attempts, result.cause) == (Outcome.CONFLICT, 1, cause)
    assert "Concurrent modification" in result.message
    assert books(event.id) == (9, 2, 1)


def test_a_write_skew_is_told_from_an_update_conflict(database, an_event):
    """Both are 40001. Here no row is written twice: each read both stocks, and wrote the one the other did not."""
    repository = EventRepository(database)
    mine, his = an_event(repository), an_event(repository)
    read = "SELECT sum(available_tickets) FROM events WHERE id = ANY(%s)"
    write = "UPDATE events SET available_tickets = available_tickets - 1 WHERE id = %s"

    @strategy(summary="writes what another has read", safe=True, retry=RetryPolicy(max_attempts=1))
    def skewed(connection, _request):
        with (
            transaction(connection, Isolation.SERIALIZABLE),
            psycopg.connect(database.settings.url) as other,
        ):
            other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            connection.execute(read, [[mine.id, his.id]])
            other.execute(read, [[mine.id, his.id]])
            other.execute(write, [his.id])
            other.commit()
            connection.execute(write, [mine.id])

    result = EventRepository(database, skewed).purchase_tickets(mine.id, 1, uuid4())
    assert (result.outcome, result.cause) == (Outcome.CONFLICT, Cause.SERIALIZATION)
    assert repository.get(mine.id) == mine


def test_retries_are_told_in_their_order(database, an_event):
    """The result says why each attempt before the last one failed, the first one first."""
    causes = [Cause.DEADLOCK, Cause.STALE_VERSION, Cause.LOCK_TIMEOUT]
    told = iter(causes)

    @strategy(summary="fails as told", safe=True, retry=RetryPolicy(max_attempts=4, backoff_initial_s=0))
    def failing(connection, request):
        for cause in told:
            raise ConflictError(cause)
        return strategies.get("atomic").purchase(connection, request)

    repository = EventRepository(database, failing)
    result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.retries, result.cause) == (Outcome.SOLD, causes, Cause.LOCK_TIMEOUT)


def test_a_cause_that_the_policy_leaves_out_is_not_tried_again(database, an_event):
    """Who names deadlocks alone gives up at the first moved version, and says that nothing was sold."""

    @strategy(summary="conflicts", safe=True, retry=RetryPolicy(max_attempts=9, causes=(Cause.DEADLOCK,)))
    def conflicting(_connection, _request):
        raise ConflictError(Cause.STALE_VERSION)

    repository = EventRepository(database, conflicting)
    result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.attempts, result.cause) == (Outcome.FAILED, 1, Cause.STALE_VERSION)


@pytest.mark.parametrize(("deadline_s", "attempts"), [(0.0, 1), (59.0, 1), (61.0, 2), (None, 4)])
def test_no_attempt_begins_after_the_deadline(database, an_event, monkeypatch, deadline_s, attempts):
    """A pause that would last beyond it is not begun: here each takes a minute of a clock that only pauses move."""
    now = [1_000.0]

    @strategy(summary="conflicts", safe=True)
    def conflicting(_connection, _request):
        raise ConflictError(Cause.STALE_VERSION)

    retry = RetryPolicy(max_attempts=4, backoff_initial_s=60, backoff_max_s=60, jitter=0, deadline_s=deadline_s)
    repository = EventRepository(database, replace(conflicting, retry=retry))
    event = an_event(repository)
    with monkeypatch.context() as patched:
        patched.setattr(attempts_module.time, "monotonic", lambda: now[0])
        patched.setattr(attempts_module.time, "sleep", lambda pause_s: now.__setitem__(0, now[0] + pause_s))
        result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.attempts) == (Outcome.CONFLICT, attempts)


def test_an_empty_pool_may_be_tried_again(database, an_event):
    """Where the policy names it, a buyer who got no connection asks for one again; nothing was sent meanwhile."""
    with Database(database.settings.model_copy(update={"pool_size": 1, "pool_acquire_timeout_s": 0.05})) as small:
        event = an_event(EventRepository(small))

        class Returning(RetryPolicy):
            """Gives the pool's only connection back at the second pause."""

            def pause_s(self, attempt):
                if attempt == 2:
                    small.pool.putconn(held)
                return 0.0

        retry = Returning(max_attempts=3, causes=(Cause.POOL_TIMEOUT,))
        repository = EventRepository(small, replace(strategies.get("atomic"), retry=retry))
        held = small.pool.getconn()
        result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.retries) == (Outcome.SOLD, [Cause.POOL_TIMEOUT] * 2)


def test_a_pool_that_stays_empty_is_unavailable_however_often_it_was_asked(database, an_event):
    """Nothing was ever sent, and the result says so."""
    with Database(database.settings.model_copy(update={"pool_size": 1, "pool_acquire_timeout_s": 0.05})) as small:
        event = an_event(EventRepository(small))
        retry = RetryPolicy(max_attempts=3, backoff_initial_s=0, causes=(Cause.POOL_TIMEOUT,))
        repository = EventRepository(small, replace(strategies.get("atomic"), retry=retry))
        held = small.pool.getconn()
        result = repository.purchase_tickets(event.id, 1, uuid4())
        small.pool.putconn(held)
    assert (result.outcome, result.cause, result.attempts) == (Outcome.UNAVAILABLE, Cause.POOL_TIMEOUT, 3)


def test_no_connection_is_held_while_a_buyer_pauses(database, an_event):
    """A pool of one serves somebody else between two tries of a purchase."""
    seen = []

    @strategy(summary="conflicts once", safe=True, retry=RetryPolicy(max_attempts=2, backoff_initial_s=0.01))
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
        patient = replace(conflicting, retry=Pausing(max_attempts=2, backoff_initial_s=0.01))
        repository = EventRepository(small, patient)
        result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.attempts, len(seen)) == (Outcome.SOLD, 2, 2)


def test_a_pool_that_is_empty_at_a_retry_is_a_failure_and_not_unavailable(database, an_event):
    """Something had been sent, and was rolled back: the result does not say that nothing was."""

    @strategy(summary="conflicts, and takes the last connection", safe=True, retry=RetryPolicy(max_attempts=2))
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
        repository = EventRepository(small, replace(greedy, retry=Taking(max_attempts=2)))
        result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
        small.pool.putconn(held[0])
    assert (result.outcome, result.cause, result.attempts) == (Outcome.FAILED, Cause.POOL_TIMEOUT, 2)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_a_conflict_that_the_server_tells_is_tried_again(database, an_event, sqlstate):
    """Serialization failure, deadlock, lock not available: the next try sells, and the result names the cause."""
    attempts = []

    @strategy(summary="fails once as told", safe=True, retry=RetryPolicy(max_attempts=3, backoff_initial_s=0))
    def failing_once(connection, request):
        attempts.append(1)
        if len(attempts) == 1:
            with transaction(connection):
                connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{sqlstate}'; END $$")
        return strategies.get("atomic").purchase(connection, request)

    repository = EventRepository(database, failing_once)
    result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, cause_of(sqlstate))


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
                    other.execute(
                        "UPDATE events SET available_tickets = 5, version = version + 1 WHERE id = %s", [event.id]
                    )
            return answer

    interrupted = replace(atomic, purchase=lambda connection, request: atomic.purchase(Between(connection), request))
    repository = EventRepository(database, interrupted)
    event = repository.create(name="x", date=datetime(2026, 12, 1, tzinfo=UTC), total_tickets=5, available_tickets=0)
    result = repository.purchase_tickets(event.id, 2, uuid4())
    assert (result.outcome, result.attempts, result.cause) == (Outcome.SOLD, 2, Cause.STALE_VERSION)
    assert (result.version, result.available_tickets) == (3, 3)


def test_a_deadlock_is_a_conflict_that_may_be_tried_again(database, an_event):
    """Two transactions that lock two events in opposite order: PostgreSQL ends one, whose cause says so."""
    barrier = Barrier(2)

    @strategy(summary="locks a second event after the first", safe=True, retry=RetryPolicy(max_attempts=1))
    def crossing(connection, request):
        other = next(each for each in events if each != request.event_id)
        with transaction(connection):
            connection.execute("SET LOCAL deadlock_timeout = '10ms'")
            connection.execute(pessimistic.LOCK, [request.event_id])
            barrier.wait(timeout=30)
            event = connection.execute(pessimistic.LOCK, [other]).fetchone()
            return sell_if_enough(connection, replace(request, event_id=other), event)

    repository = EventRepository(database, crossing)
    events = [an_event(repository).id, an_event(repository).id]
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda event_id: repository.purchase_tickets(event_id, 1, uuid4()), events))
    assert sorted(result.outcome for result in results) == [Outcome.CONFLICT, Outcome.SOLD]
    assert {result.cause for result in results} == {Cause.DEADLOCK, Cause.NONE}
