"""Functions that sell more tickets than there are seats."""

import threading
from uuid import UUID

import psycopg
import sqlalchemy
from psycopg_pool import ConnectionPool

from corpus.statements import (
    ADD,
    LOCK,
    LOOK,
    SOLD_SO_FAR,
    TAKE_IF_ENOUGH,
    TAKE_WHAT_IS_LEFT,
    WRITE,
    think,
)
from ticketlab import Settings


def writes_back_what_it_read(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: reads the stock without a lock and writes back what it computed from it, a lost update."""
    with connection.transaction():
        (left,) = connection.execute(LOOK, [event_id]).fetchone()
        if left < quantity:
            return False
        think()
        connection.execute(WRITE, [left - quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


def checks_in_another_transaction(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong: checks the stock when the order is placed, takes it in another transaction when it is paid."""
    with connection.transaction():
        (left,) = connection.execute(LOOK, [event_id]).fetchone()
    if left < quantity:
        return False
    think(0.005)
    with connection.transaction():
        connection.execute(TAKE_WHAT_IS_LEFT, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
    return True


SEATS_LESS_TICKETS = """
SELECT total_tickets - (SELECT count(*) FROM tickets WHERE event_id = events.id) FROM events WHERE id = %s
"""


def counts_the_tickets(connection: sqlalchemy.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: counts the tickets under READ COMMITTED, which does not see those that others are about to commit."""
    with connection.begin():
        (left,) = connection.exec_driver_sql(SEATS_LESS_TICKETS, (event_id,)).one()
        if left < quantity:
            return False
        think()
        connection.exec_driver_sql(ADD, (event_id, purchase_id, quantity))
        connection.exec_driver_sql(TAKE_WHAT_IS_LEFT, (quantity, event_id))
        return True


SEATS_LESS_SALES = "SELECT seats - (SELECT count(*) FROM sales WHERE show = shows.id) FROM shows WHERE id = %s"
ADD_SALES = "INSERT INTO sales SELECT %s, %s FROM generate_series(1, %s)"


def counts_in_a_snapshot(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: counts the sales under REPEATABLE READ and inserts, a write skew that no error prevents."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        (left,) = connection.execute(SEATS_LESS_SALES, [event_id]).fetchone()
        if left < quantity:
            return False
        think()
        connection.execute(ADD_SALES, [event_id, purchase_id, quantity])
        return True


def ignores_the_row_count(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: its UPDATE takes the stock only where it suffices, but nobody looks whether it took any."""
    (left,) = connection.execute(LOOK, [event_id]).fetchone()
    if left < quantity:
        return False
    think()
    with connection.transaction():
        connection.execute(TAKE_IF_ENOUGH, [quantity, event_id, quantity])
        connection.execute(ADD, [event_id, purchase_id, quantity])
    return True


ONE_AT_A_TIME = threading.Lock()


def unlocks_before_the_commit(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: the lock of the process ends before the transaction does, so the next buyer reads the stock of before."""
    with connection.transaction():
        with ONE_AT_A_TIME:
            (left,) = connection.execute(LOOK, [event_id]).fetchone()
            if left < quantity:
                return False
            connection.execute(WRITE, [left - quantity, event_id])
            connection.execute(ADD, [event_id, purchase_id, quantity])
        think()
    return True


def locks_in_autocommit_mode(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: in autocommit mode the row's lock ends with the SELECT that took it."""
    (left,) = connection.execute(LOCK, [event_id]).fetchone()
    if left < quantity:
        return False
    think()
    connection.execute(WRITE, [left - quantity, event_id])
    connection.execute(ADD, [event_id, purchase_id, quantity])
    return True


LOCK_THE_SEATS = "SELECT total_tickets FROM events WHERE id = %s FOR UPDATE"


def sells_one_too_many(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong without any race: it refuses where more than all seats are sold, and not where all are."""
    with connection.transaction():
        (seats,) = connection.execute(LOCK_THE_SEATS, [event_id]).fetchone()
        (sold,) = connection.execute(SOLD_SO_FAR, [event_id]).fetchone()
        if sold + quantity - 1 > seats:
            return False
        connection.execute(TAKE_WHAT_IS_LEFT, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


class StockCache:
    """An application that reads each event's stock once, and counts it down in its own memory."""

    def __init__(self, settings: Settings) -> None:
        self.left = {}
        self.pool = ConnectionPool(settings.url, min_size=1, max_size=8, open=True)

    def close(self) -> None:
        self.pool.close()


def counts_down_in_memory(cache: StockCache, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: the stock in memory is read, compared and written by several threads at once."""
    with cache.pool.connection() as connection:
        if event_id not in cache.left:
            (cache.left[event_id],) = connection.execute(LOOK, [event_id]).fetchone()
        left = cache.left[event_id]
        if left < quantity:
            return False
        think()
        cache.left[event_id] = left - quantity
        connection.execute(TAKE_WHAT_IS_LEFT, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


SEATS_LEFT = "SELECT seats_left FROM shows WHERE id = %s"
TAKE_SEATS = "UPDATE shows SET seats_left = seats_left - %s WHERE id = %s"


def lets_the_stock_fall_below_zero(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong: checks without a lock, on a table whose constraint was dropped; the stock is right, and negative."""
    with connection.transaction():
        (left,) = connection.execute(SEATS_LEFT, [event_id]).fetchone()
        if left < quantity:
            return False
        think()
        connection.execute(TAKE_SEATS, [quantity, event_id])
        connection.execute(ADD_SALES, [event_id, purchase_id, quantity])
        return True
