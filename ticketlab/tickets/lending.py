"""Lends connections and sessions to purchase functions, and counts what a trial left behind in its server.

What is left on a single connection is `leftovers`' business. Knows no history.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import psycopg
import sqlalchemy
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy.orm import Session

from ticketlab.tickets import leftovers
from ticketlab.tickets.database import CONNECTION, NO_CONNECTION, Database, PooledConnection
from ticketlab.tickets.leftovers import UNCOMMITTED_SALE
from ticketlab.tickets.strategy import Connection, commit_guard

_SOLD_UNCOMMITTED: Final = "ticketlab_sold_uncommitted"
_HAS_WRITTEN: Final = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
T = TypeVar("T")


@contextmanager
def committed(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """Lend a psycopg connection as `with pool.connection()` does: committed at the end, rolled back after an error.

    It is not in autocommit mode. If the commit fails, the error is raised, and the sale does not count.

    Raises:
        UnavailableError: none was available.
        CommitUnknownError: the connection was lost during the commit.
    """
    with database.connection() as connection:
        connection.autocommit = False
        try:
            yield connection
            if not connection.closed:
                with commit_guard():
                    connection.commit()
        except BaseException:
            _roll_back(connection)
            raise
        finally:
            if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                database.look(connection, autocommit=False)


@contextmanager
def sql_connection(database: Database) -> Iterator[sqlalchemy.Connection]:
    """Lend a SQLAlchemy connection; an open transaction is rolled back at the end, see `note_open_sale`."""
    with _ignoring_errors_on_return(database.sql_connection()) as connection:
        yield connection
        if not connection.closed and connection.info.pop(_SOLD_UNCOMMITTED, False):
            database.left_behind.note(UNCOMMITTED_SALE)


@contextmanager
def session(database: Database) -> Iterator[Session]:
    """Lend a SQLAlchemy session; an open transaction is rolled back at the end, see `note_open_sale`."""
    with _ignoring_errors_on_return(database.unit_of_work()) as session:
        yield session
        if session.info.pop(_SOLD_UNCOMMITTED, False):
            database.left_behind.note(UNCOMMITTED_SALE)


@contextmanager
def _ignoring_errors_on_return(lent: AbstractContextManager[T]) -> Iterator[T]:
    """Lend, and ignore database errors while the resource is returned, when the work is done."""
    is_done = False
    try:
        with lent as resource:
            yield resource
            is_done = True
    except (psycopg.Error, sqlalchemy.exc.DBAPIError):
        if not is_done:
            raise


def note_open_sale(resource: object) -> None:
    """Call this after a function returned "sold": marks a SQLAlchemy resource whose transaction is still open.

    A transaction that wrote nothing is not marked: SQLAlchemy begins one for each read, and its rollback loses nothing.
    """
    if isinstance(resource, sqlalchemy.Connection | Session) and resource.in_transaction() and _has_written(resource):
        resource.info[_SOLD_UNCOMMITTED] = True


def _has_written(resource: sqlalchemy.Connection | Session) -> bool:
    """Whether the open transaction has written, or has failed and may have written."""
    with suppress(psycopg.Error, sqlalchemy.exc.SQLAlchemyError):  # a lost connection has no open transaction
        connection = resource if isinstance(resource, sqlalchemy.Connection) else resource.connection()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        status = driver.pgconn.transaction_status
        if status != TransactionStatus.INTRANS:
            return status == TransactionStatus.INERROR
        (written,) = driver.execute(_HAS_WRITTEN).fetchone() or (False,)
        return bool(written)
    return False


def _roll_back(connection: psycopg.Connection[TupleRow]) -> None:
    """Roll back as psycopg's pool does; close a connection that cannot be rolled back."""
    if connection.closed:
        return
    try:
        connection.rollback()
    except psycopg.Error:
        assert isinstance(connection, PooledConnection)
        connection.discard()


_PATIENCE_S: Final = 2.0
"""How long closed sessions may take to end; prepared transactions get half of it."""
_POLL_S: Final = 0.01
_STATISTICS_DELAY_S: Final = 0.6
"""Before PostgreSQL 15, statistics come from a file that may be half a second old."""
_STATISTICS_IN_MEMORY: Final = 150_000
"""The `server_version` from which on statistics are in shared memory: PostgreSQL 15."""

_IN_SESSION: Final = b"""
SELECT 'lock', count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION ALL SELECT 'listen', count(*) FROM pg_listening_channels()
UNION ALL SELECT 'cursor', count(*) FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table', count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'
UNION ALL SELECT name, 1 FROM pg_settings
WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name NOT LIKE 'transaction\\_%'
"""
_MESSAGES: Final = {
    "lock": leftovers.ADVISORY_LOCK,
    "listen": leftovers.LISTENING,
    "cursor": leftovers.HELD_CURSOR,
    "table": leftovers.TEMPORARY_TABLE,
}
_IN_SERVER: Final = """
SELECT pid, application_name = %(lab)s, state LIKE 'idle in transaction%%',
       state LIKE 'idle in transaction%%' AND clock_timestamp() - state_change > interval '1 second'
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND usename = current_user
  AND pid <> pg_backend_pid() AND NOT pid = ANY (%(before)s::int[]) AND NOT starts_with(application_name, 'ticketlab-')
"""
_PREPARED: Final = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the server reported before a trial."""

    sessions: Sequence[int]
    """The backend process ids on the trial's database."""
    deadlocks: int
    """The deadlocks counted in the trial's database so far."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A session on the trial's database, other than the observer's."""

    pid: int
    is_of_lab: bool
    in_transaction: bool
    """Whether it is idle in a transaction."""
    idle_long: bool
    """Whether it has been for more than a second."""


def before(database: Database) -> Before:
    """Query the server before a trial."""
    with database.translating_errors(), psycopg.connect(database.settings.url, **CONNECTION) as observer:
        return Before(sessions=[each.pid for each in _sessions(observer, before=())], deadlocks=_deadlocks(observer))


def note_sessions(database: Database) -> None:
    """Record what was left in the pool's idle sessions."""
    taken: list[Connection] = []
    try:
        with suppress(*NO_CONNECTION):
            for _ in range(database.pool.get_stats()["pool_available"]):
                taken.append(database.pool.getconn(timeout=_POLL_S))  # noqa: PERF401 - must be known if getconn raises
        for each in taken:
            with suppress(psycopg.OperationalError):  # a lost session has nothing left
                for name, count in each.execute(_IN_SESSION, prepare=False):
                    changed = f"the setting {name} was left changed on the connection"
                    database.left_behind.note(_MESSAGES.get(name, changed), count)
    finally:
        for each in taken:
            database.pool.putconn(each)


def end_prepared(database: Database) -> None:
    """Record prepared transactions that were not ended, and roll them back, because their locks stay forever."""
    with database.translating_errors(), database.connection() as connection:
        _end_prepared(connection, database)


def close(database: Database, known: Before, *, allowed: int, crashed: bool) -> int | None:
    """Close the database and record what is left in its server. Returns the trial's deadlocks, or None if unknown.

    Args:
        database: the trial's.
        known: the state before the trial.
        allowed: how many connections of the function's own may stay open; above 0 if its pool outlives the trial.
        crashed: whether the server was crashed during the trial, which resets its counters.

    Raises:
        UnavailableError: the server does not answer.
        OwnCodeError: a `close` of the user's raised an error or did not return.
    """
    note_sessions(database)
    try:
        observer = psycopg.connect(database.settings.url, **CONNECTION)
    except psycopg.OperationalError:
        with database.translating_errors(), database.connection() as connection:
            connection.execute("SELECT")  # the server answers, so it only accepts no more connections
        database.left_behind.note(leftovers.NO_MORE_CONNECTIONS)
        database.close()
        return None
    with database.translating_errors(), observer:
        database.close()
        _note_open(observer, database, known.sessions, allowed=allowed)
        _end_prepared(observer, database)
        if observer.info.server_version < _STATISTICS_IN_MEMORY:
            time.sleep(_STATISTICS_DELAY_S)
        # Sessions report their counts before they end, and the trial's sessions have ended.
        return max(0, _deadlocks(observer) - (0 if crashed else known.deadlocks))


def _note_open(observer: Connection, database: Database, before: Sequence[int], *, allowed: int) -> None:
    """Wait until the trial's sessions end; record those that do not, and terminate those that would block others."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _have_ended(remaining := _sessions(observer, before=before), allowed=allowed):
        if time.monotonic() > deadline:
            break
        gc.collect()  # closes connections that the function no longer references
        time.sleep(_POLL_S)
    else:
        return
    own = [each for each in remaining if not each.is_of_lab]
    idle = [each for each in own if each.idle_long]
    database.left_behind.note(leftovers.OWN_TRANSACTION, len(idle))
    to_terminate = idle
    if len(own) > allowed:
        database.left_behind.note(leftovers.OWN_CONNECTION, len(own) - len(idle))
        to_terminate = own
    observer.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s::int[]) AS pid", [[each.pid for each in to_terminate]]
    )


def _have_ended(remaining: Sequence[_Session], *, allowed: int) -> bool:
    """Whether the lab's sessions have ended, and at most `allowed` others are left, none in a transaction."""
    return len(remaining) <= allowed and not any(each.is_of_lab or each.in_transaction for each in remaining)


def _sessions(observer: Connection, *, before: Sequence[int]) -> list[_Session]:
    rows = observer.execute(_IN_SERVER, {"lab": CONNECTION["application_name"], "before": list(before)})
    return [_Session(*row) for row in rows]


def _end_prepared(connection: Connection, database: Database) -> None:
    deadline = time.monotonic() + _PATIENCE_S / 2
    while (rows := connection.execute(_PREPARED).fetchall()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for (gid,) in rows:
        with suppress(psycopg.errors.UndefinedObject):  # it ended meanwhile
            connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)), prepare=False)
            database.left_behind.note(leftovers.PREPARED)


def _deadlocks(observer: Connection) -> int:
    return sum(count for (count,) in observer.execute(_DEADLOCKS))
