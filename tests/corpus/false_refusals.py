"""Functions that refuse though seats enough are left."""

import threading
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from corpus.statements import ADD, LOCK, LOOK, TAKE, think
from ticketlab import Settings

HELD_BACK = 5


def holds_seats_back(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: says "sold out" while five seats are left, which nobody will ever get."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left - HELD_BACK < quantity:
            return False
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


FREE_SEATS = "SELECT id FROM seats WHERE show = %s AND purchase_id IS NULL ORDER BY id LIMIT %s"
TAKE_FREE_SEATS = "UPDATE seats SET purchase_id = %s WHERE id = ANY(%s) AND purchase_id IS NULL"


def does_not_look_again(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: where another buyer was faster with a seat it says "sold out", and does not look for another one."""
    with connection.transaction() as sale:
        seats = [seat for (seat,) in connection.execute(FREE_SEATS, [event_id, quantity])]
        think()
        if connection.execute(TAKE_FREE_SEATS, [purchase_id, seats]).rowcount == quantity:
            return True
        raise psycopg.Rollback(sale)
    return False


class Counter:
    """An application that counts each event's stock down in its own memory, one buyer at a time."""

    def __init__(self, settings: Settings) -> None:
        self._left = {}
        self._lock = threading.Lock()
        self.pool = ConnectionPool(settings.url, min_size=1, max_size=8, open=True)

    def close(self) -> None:
        self.pool.close()

    def take(self, connection, event_id, quantity):
        """Whether there was enough."""
        with self._lock:
            if event_id not in self._left:
                (self._left[event_id],) = connection.execute(LOOK, [event_id]).fetchone()
            if self._left[event_id] < quantity:
                return False
            self._left[event_id] -= quantity
            return True


def does_not_hear_of_refunds(counter: Counter, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: counts sales in its memory, and never sees the seats that were given back."""
    with counter.pool.connection() as connection:
        if not counter.take(connection, event_id, quantity):
            return False
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True
