"""Closes the database of a trial: counts what purchase functions left behind, and the deadlocks of the trial.

Everything is noted in the database's `left_behind`. Knows PostgreSQL's own views, and no table of events.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from ticketlab.tickets import leftovers
from ticketlab.tickets.database import CONNECTION, NO_CONNECTION, Database
from ticketlab.tickets.strategy import Connection

_PATIENCE_S: Final = 2.0
"""How long closed sessions may take to end; prepared transactions have half of it."""
_POLL_S: Final = 0.01
_STATISTICS_DELAY_S: Final = 0.6
"""Before PostgreSQL 15 statistics are read from a file that may be half a second old."""
_STATISTICS_IN_MEMORY: Final = 150_000
"""PostgreSQL 15, as `server_version` has it: from there on statistics are in shared memory."""

_IN_SESSION: Final = b"""
SELECT 'lock', count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION ALL SELECT 'listen', count(*) FROM pg_listening_channels()
UNION ALL SELECT 'cursor', count(*) FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table', count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'
UNION ALL SELECT name, 1 FROM pg_settings
WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name NOT LIKE 'transaction\\_%'
"""
_WORDS: Final = {
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
    """The server before a trial."""

    sessions: Sequence[int]
    """The processes of the sessions on the trial's database."""
    deadlocks: int
    """Counted in the trial's database so far."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A session of another process on the trial's database."""

    pid: int
    is_of_lab: bool
    in_transaction: bool
    """Whether it is idle in a transaction."""
    idle_long: bool
    """Whether it has been so for more than a second."""


def before(database: Database) -> Before:
    """What the server knows of the database before a trial."""
    with _observing(database) as observer:
        found = [each.pid for each in _sessions(observer, before=())]
        return Before(sessions=found, deadlocks=_deadlocks(observer))


def note_sessions(database: Database) -> None:
    """Note what was left in those sessions of the pool that nobody uses at the moment."""
    taken: list[Connection] = []
    try:
        with suppress(*NO_CONNECTION):
            for _ in range(database.pool.get_stats()["pool_available"]):
                taken.append(database.pool.getconn(timeout=_POLL_S))  # noqa: PERF401 - what was taken must be known
        for each in taken:
            with suppress(psycopg.OperationalError):  # a session that was lost has nothing left
                _note_session(each, database)
    finally:
        for each in taken:
            database.pool.putconn(each)


def end_prepared(database: Database) -> None:
    """Note transactions that were prepared and not ended, and roll them back: their locks would outlive everything."""
    with database.reachable(), database.connection() as connection:
        _end_prepared(connection, database)


def close(database: Database, known: Before, *, allowed: int, crashed: bool) -> int | None:
    """Close the database and look at what its server still has; the deadlocks that it counted, None if it cannot say.

    Args:
        database: the trial's.
        known: what was there before the trial.
        allowed: how many connections that the function opened itself may stay open: above 0 where its pool lives on.
        crashed: whether the server was crashed in the trial, which sets its counters to 0.

    Raises:
        UnavailableError: the server does not answer.
        OwnCodeError: a `close` of the user's raised an error or did not return.
    """
    note_sessions(database)
    try:
        observer = psycopg.connect(database.settings.url, **CONNECTION)
    except psycopg.OperationalError:
        with database.reachable(), database.connection() as connection:
            connection.execute("SELECT")  # the server answers: it only accepts no more connections
        database.left_behind.note(leftovers.NO_MORE_CONNECTIONS)
        database.close()
        return None
    with database.reachable(), observer:
        database.close()
        _note_open(observer, database, known.sessions, allowed=allowed)
        _end_prepared(observer, database)
        if observer.info.server_version < _STATISTICS_IN_MEMORY:
            time.sleep(_STATISTICS_DELAY_S)
        # Sessions report what they counted before they end, and those of the trial have ended.
        return max(0, _deadlocks(observer) - (0 if crashed else known.deadlocks))


@contextmanager
def _observing(database: Database) -> Iterator[Connection]:
    with database.reachable(), psycopg.connect(database.settings.url, **CONNECTION) as observer:
        yield observer


def _note_session(connection: Connection, database: Database) -> None:
    for name, count in connection.execute(_IN_SESSION, prepare=False):
        database.left_behind.note(_WORDS.get(name, f"the setting {name} was left changed on the connection"), count)


def _note_open(observer: Connection, database: Database, before: Sequence[int], *, allowed: int) -> None:
    """Wait until the trial's sessions have ended; note those that do not, and end those that would block others."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _is_settled(found := _sessions(observer, before=before), allowed=allowed):
        if time.monotonic() > deadline:
            break
        gc.collect()  # a connection that the function has dropped is closed with its object
        time.sleep(_POLL_S)
    else:
        return
    own = [each for each in found if not each.is_of_lab]
    idle = [each for each in own if each.idle_long]
    database.left_behind.note(leftovers.OWN_TRANSACTION, len(idle))
    ended = idle
    if len(own) > allowed:
        database.left_behind.note(leftovers.OWN_CONNECTION, len(own) - len(idle))
        ended = own
    observer.execute("SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s::int[]) AS pid", [[e.pid for e in ended]])


def _is_settled(found: Sequence[_Session], *, allowed: int) -> bool:
    """Whether the lab's sessions have ended, and no more than `allowed` others are left, none in a transaction."""
    return len(found) <= allowed and not any(each.is_of_lab or each.in_transaction for each in found)


def _sessions(observer: Connection, *, before: Sequence[int]) -> list[_Session]:
    rows = observer.execute(_IN_SERVER, {"lab": CONNECTION["application_name"], "before": list(before)})
    return [_Session(*row) for row in rows]


def _end_prepared(connection: Connection, database: Database) -> None:
    deadline = time.monotonic() + _PATIENCE_S / 2
    while (rows := connection.execute(_PREPARED).fetchall()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for (gid,) in rows:
        with suppress(psycopg.errors.UndefinedObject):  # it was ended since
            connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)), prepare=False)
            database.left_behind.note(leftovers.PREPARED)


def _deadlocks(observer: Connection) -> int:
    row = observer.execute(_DEADLOCKS).fetchone()
    assert row is not None
    count: int = row[0]
    return count
