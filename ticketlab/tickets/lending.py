"""Lends a user's purchase function a psycopg connection, a SQLAlchemy connection, or a SQLAlchemy session."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, TypeVar

import psycopg
import sqlalchemy
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy.orm import Session

from ticketlab.tickets.database import Database, PooledConnection
from ticketlab.tickets.leftovers import UNCOMMITTED_SALE
from ticketlab.tickets.strategy import commit_guard

_SOLD_UNCOMMITTED: Final = "ticketlab_sold_uncommitted"
_HAS_WRITTEN: Final = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
T = TypeVar("T")


@contextmanager
def committed(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """A psycopg connection as `with pool.connection()` gives it: committed at the end, rolled back after an error.

    It is not in autocommit mode. If the commit fails, the error is raised, and the sale does not count.

    Raises:
        UnavailableError: none could be had.
        CommitUnknownError: the connection was lost in the commit.
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
    """A SQLAlchemy connection, whose open transaction is rolled back at the end; see `note_open_sale`."""
    with _given_back_quietly(database.sql_connection()) as connection:
        yield connection
        if not connection.closed and connection.info.pop(_SOLD_UNCOMMITTED, False):
            database.left_behind.note(UNCOMMITTED_SALE)


@contextmanager
def session(database: Database) -> Iterator[Session]:
    """A SQLAlchemy session, whose open transaction is rolled back at the end; see `note_open_sale`."""
    with _given_back_quietly(database.unit_of_work()) as session:
        yield session
        if session.info.pop(_SOLD_UNCOMMITTED, False):
            database.left_behind.note(UNCOMMITTED_SALE)


@contextmanager
def _given_back_quietly(lent: AbstractContextManager[T]) -> Iterator[T]:
    """What is lent. An error while it is given back is ignored: the work is done by then."""
    is_done = False
    try:
        with lent as way:
            yield way
            is_done = True
    except (psycopg.Error, sqlalchemy.exc.DBAPIError):
        if not is_done:
            raise


def note_open_sale(way: object) -> None:
    """Call this when a function answered "sold": marks a connection whose SQLAlchemy transaction is still open.

    Not one that has written nothing: SQLAlchemy begins a transaction for each read too, and rolling it back loses
    nothing.
    """
    if isinstance(way, sqlalchemy.Connection | Session) and way.in_transaction() and _has_written(way):
        way.info[_SOLD_UNCOMMITTED] = True


def _has_written(way: sqlalchemy.Connection | Session) -> bool:
    """Whether the open transaction has written, or has failed and may have written."""
    with suppress(psycopg.Error, sqlalchemy.exc.SQLAlchemyError):  # a lost connection has no open transaction
        connection = way if isinstance(way, sqlalchemy.Connection) else way.connection()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        status = driver.pgconn.transaction_status
        if status != TransactionStatus.INTRANS:
            return status == TransactionStatus.INERROR
        (written,) = driver.execute(_HAS_WRITTEN).fetchone() or (False,)
        return bool(written)
    return False


def _roll_back(connection: psycopg.Connection[TupleRow]) -> None:
    """End the transaction as psycopg's pool does; a connection that cannot be rolled back is closed."""
    if connection.closed:
        return
    try:
        connection.rollback()
    except psycopg.Error:
        assert isinstance(connection, PooledConnection)
        connection.discard()
