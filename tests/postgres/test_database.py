"""One pool under psycopg and SQLAlchemy: its three numbers at work, and what a buyer is told when it fails him."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from ticketlab.errors import UnavailableError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository
from ticketlab.tickets.orm import Event

OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ticketlab'"


@pytest.fixture
def connections(database):
    """How many connections the pool has open, as the server sees it."""
    with psycopg.connect(database.settings.url, autocommit=True) as observer:
        yield lambda: observer.execute(OURS).fetchone()[0]


def open_with(database, **changes):
    return Database(database.settings.model_copy(update=changes))


def test_the_documented_numbers_are_the_defaults(database):
    """20 connections, 60 s to acquire one, 30 s until an idle one is closed."""
    pool = database.pool
    assert (pool.max_size, pool.timeout, pool.max_idle) == (20, 60, 30)


def test_the_pool_opens_no_more_connections_than_its_size(database, connections):
    """Thirty buyers at once share twenty connections: the others wait, and all get theirs in turn."""
    all_taken = threading.Barrier(21)

    def hold(number):
        with database.connection() as connection:
            if number < 20:
                all_taken.wait(timeout=30)
                all_taken.wait(timeout=30)
            return connection.execute("SELECT 1").fetchone()

    with ThreadPoolExecutor(30) as threads:
        held = [threads.submit(hold, number) for number in range(20)]
        all_taken.wait(timeout=30)
        waiting = [threads.submit(hold, number) for number in range(20, 30)]
        assert connections() == 20
        all_taken.wait(timeout=30)
        assert [each.result(timeout=30) for each in held + waiting] == [(1,)] * 30
    assert connections() <= 20


def test_a_buyer_past_the_acquire_timeout_is_told_so(database, an_event):
    """No connection in time is an outcome of its own, with nothing sent, and no traceback."""
    event = an_event(EventRepository(database))
    with open_with(database, pool_size=1, pool_acquire_timeout_s=0.1) as small, small.connection():
        repository = EventRepository(small)
        result = repository.purchase_tickets(event.id, 1, uuid4())
        assert (result.outcome, result.cause) == (Outcome.UNAVAILABLE, Cause.POOL_TIMEOUT)
        assert "No database connection within 0.1 s (1 of 1 in use" in result.message
        with pytest.raises(UnavailableError, match=r"No database connection within 0\.1 s"):
            repository.get(event.id)
    assert EventRepository(database).get(event.id) == event


def test_an_idle_connection_is_closed_after_its_time(database, connections, eventually):
    """What nobody uses goes, and the next buyer gets a new one."""
    before = connections()
    with open_with(database, pool_idle_timeout_s=0.2) as short:
        with short.connection() as connection:
            first = connection.info.backend_pid
        assert connections() == before + 1
        eventually(lambda: connections() == before)
        with short.connection() as connection:
            assert connection.info.backend_pid != first


def test_sqlalchemy_uses_the_connections_of_the_same_pool(database, connections):
    """A psycopg checkout and a session get the same backend one after the other: there is one pool."""
    with database.connection() as connection:
        backend = connection.info.backend_pid
    with database.session() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) == backend
    with database.connection() as connection:
        assert connection.info.backend_pid == backend
        assert connection.autocommit
    assert connections() == 1


def test_a_session_is_a_transaction(database, an_event):
    """What fails half-way is rolled back, though psycopg's checkouts of the same connection autocommit."""
    event = an_event(EventRepository(database))

    def rename_and_fail():
        with database.session() as session:
            session.get_one(Event, event.id).name = "renamed"
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rename_and_fail()
    assert EventRepository(database).get(event.id).name == event.name


def test_checkouts_leave_nothing_on_a_connection(database):
    """SQLAlchemy's notice handler is not added anew with each checkout."""
    for _ in range(5):
        with database.session() as session:
            session.execute(text("SELECT 1"))
    with database.connection() as connection:
        assert len(connection._notice_handlers) == 1


def test_no_database_is_said_at_once(database):
    """A wrong port is told with the address, without the password, and long before the acquire timeout."""
    nowhere = open_with(database, port=1)
    with pytest.raises(UnavailableError, match="DB_HOST") as caught, nowhere:
        pass
    assert "127.0.0.1:1/" in str(caught.value)
    assert database.settings.password.get_secret_value() not in str(caught.value)


def test_a_lost_connection_is_not_given_out_again(database, an_event):
    """A backend that the server ended costs one purchase, whose outcome says so, and no more."""
    repository = EventRepository(database)
    event = an_event(repository)
    with database.connection() as connection:
        backend = connection.info.backend_pid
    with psycopg.connect(database.settings.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
    lost = repository.purchase_tickets(event.id, 1, uuid4())
    assert (lost.outcome, lost.cause) == (Outcome.FAILED, Cause.CONNECTION)
    assert repository.purchase_tickets(event.id, 1, uuid4()).success
    assert repository.get(event.id).available_tickets == 9


@pytest.mark.parametrize("moment", ["idle", "in the session", "before the commit"])
def test_a_lost_connection_of_a_session_costs_no_slot_of_the_pool(database, an_event, moment):
    """A pool of one connection survives the loss of that one, whenever in a session it happens."""
    event = an_event(EventRepository(database))
    with open_with(database, pool_size=1, pool_acquire_timeout_s=5) as small:

        def end_the_backend():
            with psycopg.connect(database.settings.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s::int[]) AS pid", [backends])

        with small.connection() as connection:
            backends = [connection.info.backend_pid]
        if moment == "idle":
            end_the_backend()

        def use_it():
            with small.session() as session:
                if moment == "in the session":
                    end_the_backend()
                session.get(Event, event.id)
                if moment == "before the commit":
                    end_the_backend()

        with pytest.raises(UnavailableError):
            use_it()
        assert EventRepository(small).get(event.id) == event
        assert small.pool.get_stats()["pool_size"] == 1


def test_a_closed_pool_is_no_connection(database, an_event):
    """A purchase after the end of the database is told as one for which nothing was sent."""
    event = an_event(EventRepository(database))
    with open_with(database) as again:
        repository = EventRepository(again)
    assert repository.purchase_tickets(event.id, 1, uuid4()).outcome is Outcome.UNAVAILABLE


def test_severing_ends_what_hangs_and_leaves_a_pool_that_works(database, an_event, eventually):
    """A purchase that waits for a lock is told that its connection was lost, and the next one gets a sound one."""
    repository = EventRepository(database)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("LOCK TABLE events")
        hanging = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
        with psycopg.connect(database.settings.url, autocommit=True) as observer:
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
            eventually(lambda: observer.execute(blocked, [holder.info.backend_pid]).fetchone() == (1,))
        database.terminate_connections()
        result = hanging.result(timeout=30)
        assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONNECTION)
        holder.rollback()
    assert repository.purchase_tickets(event.id, 1, uuid4()).success


def test_severing_cuts_all_connections_at_once(database, eventually):
    """Twenty that wait are told within a moment: nobody goes on buying while the server sees the others off."""
    told_s = []

    def wait_to_be_cut():
        with database.connection() as connection:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT pg_sleep(60)")
            told_s.append(time.monotonic())

    with ThreadPoolExecutor(20) as threads:
        cut = [threads.submit(wait_to_be_cut) for _ in range(20)]
        with psycopg.connect(database.settings.url, autocommit=True) as observer:
            asleep = f"{OURS} AND wait_event = 'PgSleep'"
            eventually(lambda: observer.execute(asleep).fetchone() == (20,))
        database.terminate_connections()
        for each in cut:
            each.result(timeout=30)
    assert max(told_s) - min(told_s) < 1


def test_severing_passes_over_a_connection_that_its_buyer_closes_in_the_same_moment(database, an_event):
    """Nothing is left of it to be cut, and the others are."""

    class Closing:
        closed = False

        @property
        def info(self):
            raise psycopg.OperationalError("the connection is closed")

        fileno = info

    closing = Closing()
    database._note(closing)
    database.terminate_connections()
    repository = EventRepository(database)
    assert repository.purchase_tickets(an_event(repository).id, 1, uuid4()).success


def test_statements_stay_prepared_after_a_refusal(database, an_event):
    """A refusal rolls back without deallocating what the next purchase on the connection will use."""
    repository = EventRepository(database, "pessimistic")
    event = an_event(repository)
    prepared = "SELECT count(*) FROM pg_prepared_statements"
    repository.purchase_tickets(event.id, 1, uuid4())
    with database.connection() as connection:
        before = connection.execute(prepared).fetchone()[0]
    assert repository.purchase_tickets(event.id, 99, uuid4()).outcome is Outcome.SOLD_OUT
    with database.connection() as connection:
        assert connection.execute(prepared).fetchone()[0] >= before > 1


def test_the_isolation_level_is_not_left_to_the_server(database):
    """A single statement runs at READ COMMITTED even where the database's default is another."""
    with psycopg.connect(database.settings.url, autocommit=True) as other:
        other.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'").format(
                psycopg.sql.Identifier(database.settings.name)
            )
        )
        assert "serializable" in str(other.execute("SELECT setconfig FROM pg_db_role_setting").fetchall())
    with Database(Settings.from_url(database.settings.url)) as again, again.connection() as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
