"""Detects and counts what a purchase function leaves on a connection. Sends no SQL but ROLLBACK.

Knows psycopg connections, no pool and no tables.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

OPEN_TRANSACTION: Final = "a transaction was left open on the connection"
UNFINISHED: Final = "a statement was left unfinished on the connection"
CLOSED: Final = "the connection was closed"
UNCOMMITTED_SALE: Final = "a sale was answered while its transaction was open, and the transaction was rolled back"
ADVISORY_LOCK: Final = "a session advisory lock was left on the connection"
LISTENING: Final = "a LISTEN was left on the connection"
HELD_CURSOR: Final = "a cursor WITH HOLD was left open on the connection"
TEMPORARY_TABLE: Final = "a temporary table was left on the connection"
PREPARED: Final = "a prepared transaction was left in the server"
OWN_CONNECTION: Final = "a connection of the function's own was left open"
OWN_TRANSACTION: Final = "a transaction was left open on a connection of the function's own"
NO_MORE_CONNECTIONS: Final = "so many connections were left open that the server accepted no other"

_ATTRIBUTES: Final[Mapping[str, Any]] = {
    "autocommit": True,
    "isolation_level": None,
    "read_only": None,
    "deferrable": None,
}
"""The session attributes of a pooled connection. A function that changes one affects later purchases."""


class LeftBehind:
    """Counts leftovers by message; thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, message: str, count: int = 1) -> None:
        """Add `count` to the message."""
        with self._lock:
            self._counts[message] += count

    def counts(self) -> dict[str, int]:
        """Return the counts by message, the most frequent first."""
        with self._lock:
            return {message: count for message, count in self._counts.most_common() if count}


def is_as_lent(connection: psycopg.Connection[TupleRow]) -> bool:
    """Whether the connection is open, in no transaction, and has its original attributes; sends nothing."""
    return (
        connection.pgconn.transaction_status == TransactionStatus.IDLE
        and connection.autocommit
        and connection.isolation_level is None
        and connection.row_factory is tuple_row
        and connection.read_only is None
        and connection.deferrable is None
    )


def look(connection: psycopg.Connection[TupleRow], left: LeftBehind, *, discarded: bool, autocommit: bool) -> None:
    """Record what a function left on a connection, roll its transaction back, and restore its attributes.

    Args:
        connection: as the function returned it.
        left: the counts to add to.
        discarded: whether the lab closed the connection itself.
        autocommit: whether it was lent in autocommit mode.
    """
    status = connection.pgconn.transaction_status
    if connection.closed:
        if not (connection.broken or discarded):
            left.note(CLOSED)
        return
    if status == TransactionStatus.ACTIVE:
        left.note(UNFINISHED)  # the pool closes the connection
        return
    if status != TransactionStatus.IDLE:
        if not _rolled_back(connection):
            return  # the connection is lost, so no transaction is open
        left.note(OPEN_TRANSACTION)
    for name in changed_attributes(connection, autocommit=autocommit):
        left.note(f"{name} was changed on the connection")
    restore(connection)


def _rolled_back(connection: psycopg.Connection[TupleRow]) -> bool:
    """Roll back; False if the connection is lost."""
    with suppress(psycopg.OperationalError):
        connection.pgconn.exec_(b"ROLLBACK")
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def changed_attributes(connection: psycopg.Connection[TupleRow], *, autocommit: bool) -> list[str]:
    """Return the names of changed attributes of a connection that was lent with this `autocommit`."""
    lent = {**_ATTRIBUTES, "autocommit": autocommit}
    return [name for name, value in lent.items() if getattr(connection, name) != value]


def restore(connection: psycopg.Connection[TupleRow]) -> None:
    """Restore the attributes of a connection that is in no transaction."""
    for name, value in _ATTRIBUTES.items():
        setattr(connection, name, value)
    connection.row_factory = tuple_row  # a function may set it: reset, but not counted
