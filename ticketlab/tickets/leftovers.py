"""Counts what a purchase function leaves behind, by message. Sends no SQL unless a transaction must be rolled back.

Knows psycopg connections; knows no pool and no table.
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
"""What transactions of a pooled connection are begun with: who changes one changes it for the next purchase too."""


class LeftBehind:
    """Counts what was left behind, from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, words: str, count: int = 1) -> None:
        """Count `words` once more, or `count` times."""
        with self._lock:
            self._counts[words] += count

    def counts(self) -> dict[str, int]:
        """How often each was left, the most frequent first."""
        with self._lock:
            return {words: count for words, count in self._counts.most_common() if count}


def is_as_lent(connection: psycopg.Connection[TupleRow]) -> bool:
    """Whether the connection is alive, in no transaction, and begins transactions as it did; asks no server."""
    return (
        connection.pgconn.transaction_status == TransactionStatus.IDLE
        and connection.autocommit
        and connection.isolation_level is None
        and connection.row_factory is tuple_row
        and connection.read_only is None
        and connection.deferrable is None
    )


def look(connection: psycopg.Connection[TupleRow], left: LeftBehind, *, discarded: bool, autocommit: bool) -> None:
    """Note what a function left on a connection, end its transaction, and restore what the pool lends.

    Args:
        connection: as the function returned it.
        left: where to note it.
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
            return  # the connection was lost before, so no transaction is open
        left.note(OPEN_TRANSACTION)
    for name in changed_attributes(connection, autocommit=autocommit):
        left.note(f"{name} was changed on the connection")
    restore(connection)


def _rolled_back(connection: psycopg.Connection[TupleRow]) -> bool:
    """End its transaction; whether the server was there to do so."""
    with suppress(psycopg.OperationalError):
        connection.pgconn.exec_(b"ROLLBACK")
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def changed_attributes(connection: psycopg.Connection[TupleRow], *, autocommit: bool) -> list[str]:
    """The attributes that a function changed on a connection that was lent with this `autocommit`."""
    lent = {**_ATTRIBUTES, "autocommit": autocommit}
    return [name for name, value in lent.items() if getattr(connection, name) != value]


def restore(connection: psycopg.Connection[TupleRow]) -> None:
    """Give a connection in no transaction the attributes that the pool lends it with."""
    for name, value in _ATTRIBUTES.items():
        setattr(connection, name, value)
    connection.row_factory = tuple_row  # a function may set it: it is reset, and not counted
